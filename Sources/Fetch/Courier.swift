public import Egress
public import HTTP
public import Loop

/// Sends requests to receivers whose addresses others have named, thousands at once, with libcurl on the loop.
///
/// It connects to nothing that the guard refuses: each address is judged when a connection to it is opened and, because
/// connections are used again, each time something is sent over one. So a name that leads elsewhere by then leads
/// nowhere. No redirect is followed, and no content is unpacked.
///
/// Connections, TLS sessions and handles are used again, HTTP/2 is spoken where it is offered. `close` it before letting
/// go of it.
@OnLoop
public final class Courier {
    private let egressGuard: EgressGuard
    private let terms: SendingTerms
    private let multi: MultiHandle
    private let sessions = SessionCaches()
    private var idle: [Transfer] = []

    /// How many requests are on their way.
    public private(set) var underWay = 0

    /// - Parameters:
    ///   - egressGuard: decides about addresses.
    ///   - terms: how it is sent.
    public init(_ egressGuard: EgressGuard, _ terms: SendingTerms) {
        self.egressGuard = egressGuard
        self.terms = terms
        multi = MultiHandle(connections: terms.connections, connectionsPerHost: terms.connectionsPerHost) {
            Transfer.of($0).end($1)
        }
    }

    /// POSTs a request and waits for its answer, or as much of it as is read.
    ///
    /// A connection that was idle may have been closed by the other side just then: the request is sent again on another
    /// if nothing at all has come back. So it may arrive more than once.
    ///
    /// - Parameters:
    ///   - body: the content.
    ///   - destination: where to; as the guard has examined it.
    ///   - fields: the header's, without those that frame the message (`Host`, `Content-Length`).
    ///   - deadline: for all of it, where it is to be sooner than the terms say.
    /// - Throws: `SendError` where no status came; `CancellationError` when the task is cancelled: the connection it was on
    ///   is closed then.
    public func send(
        _ body: [UInt8], to destination: Destination, fields: Fields, deadline: Duration? = nil
    ) async throws -> Reply {
        let transfer = idle.popLast() ?? Transfer(terms, multi)
        let (egressGuard, proxy) = (egressGuard, terms.proxy)
        transfer.prepare(body, to: destination, fields, sessions: sessions) { address in
            if let proxy { return egressGuard.refusal(of: address, for: proxy) }
            return egressGuard.refusal(of: address, for: destination)
        }
        underWay += 1
        multi.add(transfer.handle)
        defer {
            // Unless it has ended; then this does nothing.
            multi.remove(transfer.handle)
            underWay -= 1
            if transfer.isReusable, idle.count < terms.connections { idle.append(transfer) } else { transfer.close() }
        }
        try await transfer.wait(min(deadline ?? terms.totalDeadline, terms.totalDeadline))
        return try transfer.outcome()
    }

    /// Closes all connections. To be called when nothing is on its way any more.
    public func close() {
        precondition(underWay == 0, "something is on its way")
        multi.close()
        for transfer in idle { transfer.close() }
        idle = []
    }
}
