public import Egress
public import HTTP
public import Loop

/// Sends requests to receivers whose addresses others have named, thousands at once, with libcurl on the loop.
///
/// It connects to nothing that the guard refuses: each address is judged when a connection to it is opened and, because
/// connections are used again, each time something is sent over one. So a name that leads elsewhere by then leads
/// nowhere. No redirect is followed, and no content is unpacked.
///
/// Connections, TLS sessions and handles are used again, HTTP/2 is spoken where it is offered. Requests wait for their turn
/// where as many are on their way as may be, in all or to one host. `close` it before letting go of it.
@OnLoop
public final class Courier {
    private let egressGuard: EgressGuard
    private let terms: SendingTerms
    private let multi: MultiHandle
    private let sessions = SessionCaches()
    /// Sends what has to be sent alone, by HTTP/1.1 on connections of its own; nil where no request shares a connection anyway.
    private let withoutHTTP2: Courier?
    private var idle: [Transfer] = []
    private var queue: SendingQueue
    /// Of those that wait.
    private var turns: [SendingQueue.Ticket: Signal] = [:]
    private var isClosed = false

    /// How many requests are on their way.
    public var underWay: Int { queue.underWay }

    /// How many requests wait for their turn.
    public var waiting: Int { queue.waiting }

    /// - Parameters:
    ///   - egressGuard: decides about addresses.
    ///   - terms: how it is sent.
    public init(_ egressGuard: EgressGuard, _ terms: SendingTerms) {
        self.egressGuard = egressGuard
        self.terms = terms
        queue = SendingQueue(terms)
        if terms.usesHTTP2 {
            var others = terms
            others.usesHTTP2 = false
            others.connections = terms.connectionsPerHost
            withoutHTTP2 = Courier(egressGuard, others)
        } else {
            withoutHTTP2 = nil
        }
        multi = MultiHandle(connections: terms.connections) { Transfer.of($0).end($1) }
    }

    /// POSTs a request and waits for its answer, or as much of it as is read.
    ///
    /// A connection that was idle may have been closed by the other side just then: the request is sent again on another
    /// if nothing at all has come back. It is sent again by HTTP/1.1 where an answer that came by HTTP/2 before all was sent is
    /// lost. So it may arrive more than once.
    ///
    /// - Parameters:
    ///   - body: the content.
    ///   - destination: where to; as the guard has examined it.
    ///   - fields: the header's, without those that frame the message (`Host`, `Content-Length`).
    ///   - deadline: for all of it, where it is to be sooner than the terms say; as long again it may have waited for its turn.
    /// - Throws: `SendError` where no status came; `CancellationError` when the task is cancelled: the connection it was on
    ///   is closed then.
    public func send(
        _ body: [UInt8], to destination: Destination, fields: Fields, deadline: Duration? = nil
    ) async throws -> Reply {
        precondition(!isClosed, "the courier is closed")
        let patience = min(deadline ?? terms.totalDeadline, terms.totalDeadline)
        guard let ticket = queue.enter(SendingQueue.Host(name: destination.host, port: destination.port)) else {
            throw SendError(.notBegun, "\(terms.waiting) others wait", Timings())
        }
        let turn = Signal()
        turns[ticket] = turn
        defer {
            turns[ticket] = nil
            queue.leave(ticket)
            admit()
        }
        admit()
        if turns[ticket] != nil { try await wait(for: turn, of: ticket, patience) }
        return try await send(body, to: destination, fields, ticket, patience)
    }

    private func send(
        _ body: [UInt8], to destination: Destination, _ fields: Fields, _ ticket: SendingQueue.Ticket,
        _ patience: Duration
    ) async throws -> Reply {
        let transfer = idle.popLast() ?? Transfer(terms, multi)
        let (egressGuard, proxy) = (egressGuard, terms.proxy)
        transfer.prepare(body, to: destination, fields, sessions: sessions) { address in
            if let proxy { return egressGuard.refusal(of: address, for: proxy) }
            return egressGuard.refusal(of: address, for: destination)
        } onConnected: { [weak self] isShared in
            self?.queue.connected(ticket, isShared: isShared)
            self?.admit()
        }
        multi.add(transfer.handle)
        defer {
            // Unless it has ended; then this does nothing.
            multi.remove(transfer.handle)
            if transfer.isReusable, idle.count < terms.connections { idle.append(transfer) } else { transfer.close() }
        }
        try await transfer.wait(patience)
        if let withoutHTTP2, transfer.isToBeSentAlone {
            do {
                return try await withoutHTTP2.send(
                    body, to: destination, fields: fields, deadline: max(.zero, patience - transfer.elapsed))
            } catch is SendError {
                // What is known is what came of the first.
            }
        }
        return try transfer.outcome()
    }

    private func wait(for turn: Signal, of ticket: SendingQueue.Ticket, _ patience: Duration) async throws {
        let deadline = Deadline { turn.fire() }
        deadline.set(patience)
        defer { deadline.cancel() }
        try await turn.wait()
        guard turns[ticket] == nil else {
            throw SendError(.notBegun, "too many others are on their way", Timings())
        }
    }

    /// Wakes those whose turn has come; they begin on their own, and not within a call of libcurl's.
    private func admit() {
        while let ticket = queue.next() { turns.removeValue(forKey: ticket)!.fire() }
    }

    /// Closes all connections. To be called when nothing is on its way any more, and for good.
    public func close() {
        precondition(underWay == 0 && waiting == 0, "something is on its way")
        isClosed = true
        withoutHTTP2?.close()
        multi.close()
        for transfer in idle { transfer.close() }
        idle = []
    }
}
