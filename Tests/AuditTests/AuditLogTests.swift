import Audit
import Glibc
import HTTP
import JSONText
import Ledger
import Loop
import Server
import Telemetry
import TestSupport
import Testing

/// A worker's side with the real process.
@Suite("A worker's way into the ledger", .serialized)
struct AuditLogTests {
    @OnLoop
    private final class Worker {
        let log: AuditLog
        private let running: Task<Void, Never>
        private var number: UInt64 = 0

        convenience init(
            _ recorder: TestRecorder, change: (inout AuditLog.Configuration) -> Void = { _ in }
        ) throws {
            try self.init(socket: recorder.socket, change: change)
        }

        init(socket: String, change: (inout AuditLog.Configuration) -> Void = { _ in }) throws {
            var configuration = AuditLog.Configuration(
                socketPath: socket, worker: "gateway-0", hashKey: [UInt8](repeating: 7, count: 32))
            // A process that has only just been started takes its time on a busy machine.
            configuration.deadline = .seconds(20)
            change(&configuration)
            let log = try AuditLog(configuration)
            self.log = log
            running = Task { await log.run() }
        }

        func stop() async {
            running.cancel()
            await running.value
        }

        private func facts() -> RequestFacts {
            number += 1
            let digits = String(number)
            let id = String(repeating: "0", count: 32 - digits.count) + digits
            return RequestFacts(
                id: RequestID(id.utf8.span)!, method: .get, path: Array("/a".utf8)[...],
                trace: TraceContext(traceID: 1, spanID: 1), address: "127.0.0.1")
        }

        func submit(_ durability: Durability = .synced) throws -> Receipt {
            try log.submit(DecisionRecord(facts(), .allowed, time: 1, microseconds: 2), durability)
        }

        func note() { log.note(OutcomeRecord(facts(), time: 1, microseconds: 2, status: 200)) }
    }

    @Test("A record is acknowledged, and in the ledger")
    func acknowledged() async throws {
        try await onLoop {
            let recorder = try TestRecorder()
            try recorder.start()
            let worker = try Worker(recorder)
            for durability in [Durability.written, .synced] { try await worker.submit(durability).wait() }
            #expect(worker.log.unreadiness == nil)
            #expect(try recorder.objects().count == 2)
            await worker.stop()
        }
    }

    @Test("What is recorded before the ledger is there waits for it")
    func waitsForLedger() async throws {
        try await onLoop {
            let recorder = try TestRecorder()
            let worker = try Worker(recorder)
            let receipts = try (0..<10).map { _ in try worker.submit() }
            #expect(worker.log.unreadiness != nil)
            try recorder.start()
            for receipt in receipts { try await receipt.wait() }
            #expect(try recorder.objects().count == 10)
            await worker.stop()
        }
    }

    @Test("With the process frozen a wait ends at the deadline; when it thaws all goes on")
    func frozen() async throws {
        try await onLoop {
            let recorder = try TestRecorder()
            try recorder.start()
            let worker = try Worker(recorder) { $0.deadline = .milliseconds(300) }
            var count = 0
            /// However often it takes: a busy machine may need longer than the deadline, too.
            func submitUntilTaken() async throws {
                repeat { count += 1 } while await (try? worker.submit().wait()) == nil
            }
            try await submitUntilTaken()
            recorder.signal(SIGSTOP)
            for _ in 0..<3 {
                let start = Loop.monotonicNanoseconds
                let error = await #expect(throws: AuditError.self) { try await worker.submit().wait() }
                #expect(error?.code == .timedOut)
                let elapsed = Duration.nanoseconds(Int64(Loop.monotonicNanoseconds - start))
                #expect(elapsed >= .milliseconds(299))
                #expect(elapsed < .seconds(5))
            }
            recorder.signal(SIGCONT)
            try await submitUntilTaken()
            let all = count + 3
            try await eventually { (try? recorder.objects().count) == all }
            await worker.stop()
        }
    }

    @Test("While the process is killed again and again every wait ends well, and nothing is missing")
    func killed() async throws {
        try await onLoop {
            let recorder = try TestRecorder()
            try recorder.start()
            let worker = try Worker(recorder)
            let killing = Task { @OnLoop in
                for _ in 0..<20 {
                    try await Loop.sleep(for: .milliseconds(.random(in: 5...60)))
                    _ = try await recorder.stop(SIGKILL)
                    try recorder.start()
                }
            }
            var count = 0
            var isDone = false
            Task { @OnLoop in
                try await killing.value
                isDone = true
            }
            while !isDone {
                let receipts = try (0..<20).map { try worker.submit($0 % 2 == 0 ? .written : .synced) }
                for _ in 0..<20 { worker.note() }
                for receipt in receipts { try await receipt.wait() }
                count += receipts.count + 20
            }
            await worker.log.drain(patience: .seconds(20))
            await worker.stop()
            #expect(try await recorder.stop().isSuccess)
            #expect(try recorder.verify().finding == nil)
            let ids = Set(try recorder.objects().compactMap { $0["metadata"]?["uid"]?.string })
            #expect(ids.count == count)
        }
    }

    @Test("With as many waiting as may, one more is refused at once")
    func overloaded() async throws {
        try await onLoop {
            let recorder = try TestRecorder()
            let worker = try Worker(recorder) { $0.recordBound = 3 }
            for _ in 0..<3 { _ = try worker.submit() }
            let error = #expect(throws: AuditError.self) { try worker.submit() }
            #expect(error?.code == .overloaded)
            await worker.stop()
        }
    }

    @Test("What nobody waits for goes along with the next record that somebody does, which waits for nothing")
    func goesAlong() async throws {
        try await onLoop {
            let ledger = try LedgerEnd()
            let worker = try Worker(socket: ledger.path) { $0.noteDelay = .seconds(3600) }
            try await ledger.accept()
            for round in 0..<3 as Range<UInt64> {
                for _ in 0..<2 { worker.note() }
                // Many turns of the loop, in each of which they could leave.
                try await Loop.sleep(for: .milliseconds(10))
                _ = try worker.submit()
                #expect(try await ledger.receive() == Array(3 * round + 1...3 * round + 3))
            }
            await worker.stop()
        }
    }

    @Test("What nobody waits for leaves by itself when nothing comes that it could go along with")
    func leavesAlone() async throws {
        try await onLoop {
            let ledger = try LedgerEnd()
            let worker = try Worker(socket: ledger.path)
            try await ledger.accept()
            for round in 0..<3 as Range<UInt64> {
                for _ in 0..<2 { worker.note() }
                #expect(try await ledger.receive() == Array(2 * round + 1...2 * round + 2))
            }
            await worker.stop()
        }
    }

    @Test("A drain sends what nobody waits for, and waits for it")
    func drains() async throws {
        try await onLoop {
            let recorder = try TestRecorder()
            try recorder.start()
            let worker = try Worker(recorder) { $0.noteDelay = .seconds(3600) }
            try await worker.submit().wait()
            for _ in 0..<100 { worker.note() }
            await worker.log.drain(patience: .seconds(10))
            #expect(try recorder.objects().count == 101)
            await worker.stop()
        }
    }

    @Test("The process may be stopped and started again under load; what it had not taken is sent again")
    func restarted() async throws {
        try await onLoop {
            let recorder = try TestRecorder()
            try recorder.start()
            let worker = try Worker(recorder)
            try await worker.submit().wait()
            for _ in 0..<5 {
                let receipts = try (0..<200).map { _ in try worker.submit(.written) }
                #expect(try await recorder.stop().isSuccess)
                #expect(try recorder.verify().unsignedCount == 0)
                try recorder.start()
                for receipt in receipts { try await receipt.wait() }
                // The old one may have answered all of them; before its first answer the new one hears no signals.
                try await worker.submit(.written).wait()
            }
            await worker.stop()
            let ids = Set(try recorder.objects().compactMap { $0["metadata"]?["uid"]?.string })
            #expect(ids.count == 1006)
        }
    }
}

/// The ledger's end of a worker's connection, in this process: what arrives at once was sent at once.
@OnLoop
private final class LedgerEnd {
    let path: String
    private let listener: Listener
    private var stream: Stream?
    private var parser = RecordFrameParser()

    init() throws {
        var template = Array("/tmp/dba-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) } + "/ledger.sock"
        listener = try Listener(ListeningSocket(unixPath: path))
    }

    deinit {
        unlink(path)
        rmdir(String(path.dropLast("/ledger.sock".count)))
    }

    /// Takes the worker's connection, and its greeting.
    func accept() async throws {
        stream = try await listener.next()
        #expect(try await receive() == [])
    }

    /// The tickets of what arrives next.
    func receive() async throws -> [UInt64] {
        let stream = try #require(stream)
        try #require(try await stream.fill())
        var tickets: [UInt64] = []
        while true {
            let (frame, consumed) = try stream.withReadable { (input) throws(FrameError) in try parser.next(input) }
            stream.consume(consumed)
            guard let frame else { return tickets }
            if case .record(let ticket, _, _) = frame { tickets.append(ticket) }
        }
    }
}
