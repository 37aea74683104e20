internal import Ledger
internal import Loop
internal import Telemetry

/// One worker's connection: its records go to the journal, what became of them goes back.
@OnLoop
final class WorkerConnection {
    /// Bytes of answers that may wait; a worker that reads none is cut.
    private static let outgoingBound = 1 << 20
    /// How long reading rests while there is no room for records.
    private static let rest = Duration.milliseconds(5)

    /// A worker that breaks the protocol.
    private struct Broken: Error {
        let reason: String
    }

    let id: UInt64
    private let stream: Stream
    private let journal: Journal
    private var parser = RecordFrameParser()
    private var name = ""
    private var outgoing: [UInt8] = []
    private let work = Signal()
    private var isStopping = false
    /// The last ticket that was acknowledged as written.
    private var written: UInt64 = 0
    private var isWriting = false

    init(_ id: UInt64, _ stream: Stream, _ journal: Journal) {
        self.id = id
        self.stream = stream
        self.journal = journal
    }

    /// Serves the worker until one side ends.
    func run() async {
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.receive() }
                group.addTask { try await self.send() }
                defer { group.cancelAll() }
                try await group.next()
            }
        } catch let error as Broken {
            Log.error("worker cut: it breaks the protocol", ["worker": .init(name), "reason": .init(error.reason)])
        } catch {
            if !isStopping {
                Log.info("worker's connection ended", ["worker": .init(name), "error": .init(error: error)])
            }
        }
        stream.close()
    }

    /// Takes no more records; what was taken is still answered.
    func stopReading() { isStopping = true }

    /// Sends what is to be said at last.
    func finish() async {
        // One that does not take its answers gets no more of them.
        if !outgoing.isEmpty, !isWriting { try? await stream.write(takeOutgoing()) }
        stream.close()
    }

    // MARK: Records

    private func receive() async throws {
        while try await stream.fill() {
            guard !isStopping else { continue }
            while try takeFrames() {
                // No room: whoever sends is held to our pace by the kernel, and for so long only.
                let until = Loop.monotonicNanoseconds + RecorderConfiguration.patience.nanoseconds
                while !journal.hasRoom, Loop.monotonicNanoseconds < until { try await Loop.sleep(for: Self.rest) }
                if !journal.hasRoom { try takeFrames(refusing: RecorderConfiguration.connectionBound) }
            }
        }
    }

    /// Takes the frames that have arrived.
    ///
    /// - Returns: whether some are left for want of room.
    private func takeFrames() throws -> Bool {
        var isBlocked = false
        try takeFrames(refusing: nil, isBlocked: &isBlocked)
        return isBlocked
    }

    private func takeFrames(refusing count: Int) throws {
        var isBlocked = false
        try takeFrames(refusing: count, isBlocked: &isBlocked)
    }

    /// - Parameter refused: how many to refuse, for want of room; nil to stop where there is none.
    private func takeFrames(refusing refused: Int?, isBlocked: inout Bool) throws {
        var refusals = RefusalRun()
        var left = refused ?? .max
        let consumed = try stream.withReadable { (input) throws(Broken) -> Int in
            var offset = 0
            while left > 0 {
                if refused == nil, !journal.hasRoom {
                    isBlocked = true
                    break
                }
                let rest = input.extracting(offset...)
                let (frame, consumed) = try Self.next(rest, &parser)
                switch frame {
                case nil: return offset
                case .greeting(_, let range):
                    name = rest.extracting(range).withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
                    Log.info("worker connected", ["worker": .init(name)])
                case .record(let ticket, let durability, let object):
                    let reason = journal.submit(
                        rest.extracting(object), durability, Ticket(connection: id, number: ticket))
                    if let reason { refusals.add(ticket, reason) { $0.append(to: &outgoing) } }
                    if reason == .invalid { throw Broken(reason: "a record is not one JSON object") }
                }
                offset += consumed
                left -= 1
            }
            return offset
        }
        stream.consume(consumed)
        refusals.finish { $0.append(to: &outgoing) }
        if !outgoing.isEmpty { work.fire() }
    }

    private static func next(
        _ input: Span<UInt8>, _ parser: inout RecordFrameParser
    ) throws(Broken) -> (RecordFrame?, Int) {
        do throws(FrameError) { return try parser.next(input) } catch { throw Broken(reason: error.rawValue) }
    }

    // MARK: Answers

    func acknowledged(_ durability: Durability, through ticket: UInt64) {
        if durability == .written { written = ticket }
        ReplyFrame.acknowledged(durability, through: ticket).append(to: &outgoing)
        work.fire()
    }

    func refused(_ tickets: ClosedRange<UInt64>, _ reason: RefusalReason) {
        ReplyFrame.refused(tickets, reason).append(to: &outgoing)
        work.fire()
    }

    /// A worker that was refused, and has nothing to send, hears by an old acknowledgement that it may again.
    func recovered() { acknowledged(.written, through: written) }

    private func send() async throws {
        while true {
            guard outgoing.count <= Self.outgoingBound else { throw Broken(reason: "it reads no answers") }
            if outgoing.isEmpty {
                try await work.wait()
            } else if let rest = try stream.send(takeOutgoing()) {
                isWriting = true
                try await stream.write(rest)
                isWriting = false
            }
        }
    }

    private func takeOutgoing() -> [UInt8] {
        let bytes = outgoing
        outgoing.removeAll(keepingCapacity: true)
        return bytes
    }
}

/// Refusals of neighbouring tickets for one reason, put together.
private struct RefusalRun {
    private var run: (tickets: ClosedRange<UInt64>, reason: RefusalReason)?

    mutating func add(_ ticket: UInt64, _ reason: RefusalReason, _ emit: (ReplyFrame) -> Void) {
        if let run, run.reason == reason {
            self.run = (run.tickets.lowerBound...ticket, reason)
        } else {
            finish(emit)
            run = (ticket...ticket, reason)
        }
    }

    mutating func finish(_ emit: (ReplyFrame) -> Void) {
        if let run { emit(.refused(run.tickets, run.reason)) }
        run = nil
    }
}
