import HTTP
import Ledger
import Loop
import TestSupport
import Testing

/// A witness over HTTP on this machine, which is away at first and then does what a test says.
@OnLoop
private final class HTTPWitness {
    enum Manner {
        case takes
        case refuses
        /// Takes the request and never answers.
        case hangs
    }

    let port: UInt16
    var manner = Manner.takes
    private(set) var requests = 0
    /// What was taken, in order.
    private(set) var notes: [String] = []
    private(set) var heads: [RequestHead] = []
    private var socket: ListeningSocket?
    private var listener: Listener?
    private var running: Task<Void, Never>?

    init() throws {
        // Bound, but nobody listens: who connects is refused.
        let socket = try ListeningSocket(address: "127.0.0.1", port: 0)
        port = socket.port
        self.socket = consume socket
    }

    func open() throws {
        guard let socket = socket.take() else { return }
        let listener = try Listener(socket)
        self.listener = listener
        running = Task {
            await withDiscardingTaskGroup { group in
                while let stream = try? await listener.next() {
                    group.addTask {
                        try? await self.answer(stream)
                        await stream.close()
                    }
                }
                group.cancelAll()
            }
        }
    }

    func close() async {
        listener?.close()
        await running?.value
    }

    private func answer(_ stream: Stream) async throws {
        var parser = RequestParser()
        var head: RequestHead?
        var content: [UInt8] = []
        while true {
            let step = try stream.withReadable { (input) throws(MessageError) in
                let step = try parser.next(input)
                if case .body(let range) = step.event {
                    input.extracting(range).withUnsafeBufferPointer { content.append(contentsOf: $0) }
                }
                return step
            }
            stream.consume(step.consumed)
            switch step.event {
            case .head: head = parser.takeHead()
            case .end: return try await answer(try #require(head), content, stream)
            case nil: guard try await stream.fill() else { return }
            default: break
            }
        }
    }

    private func answer(_ head: RequestHead, _ content: [UInt8], _ stream: Stream) async throws {
        requests += 1
        switch manner {
        case .takes:
            heads.append(head)
            notes.append(String(decoding: content, as: UTF8.self))
            try await stream.write(Array("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".utf8))
        case .refuses:
            try await stream.write(Array("HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".utf8))
        case .hangs:
            while try await stream.fill() { stream.consume(stream.readableCount) }
        }
    }
}

@Suite("A witness that takes checkpoints over HTTP", .serialized)
struct WitnessTests {
    /// A number of the recorder's metrics.
    @OnLoop private func metric(_ name: String, _ recorder: TestRecorder) async throws -> Double {
        let client = TestClient(try await recorder.connectAsAdmin())
        defer { client.close() }
        let text = try await client.exchange("GET /metrics HTTP/1.1\r\nHost: ledger\r\n\r\n").text
        let line = text.split(separator: "\n").first { $0.hasPrefix("\(name){") && $0.contains("witness=\"url\"") }
        return try #require(line?.split(separator: " ").last.flatMap { Double($0) }, "\(text)")
    }

    @OnLoop private func wait(
        for name: String, above bound: Double, _ recorder: TestRecorder
    ) async throws {
        while try await metric(name, recorder) <= bound { try await Loop.sleep(for: .milliseconds(20)) }
    }

    /// What the notes say, each verified with the ledger's own key.
    @OnLoop private func checkpoints(_ notes: [String], _ recorder: TestRecorder) throws -> [Checkpoint] {
        let verifier = try NoteVerifier(
            String(TestRecorder.text("\(recorder.home)/ledger/verifiers").split(separator: "\n")[0]))
        return try notes.map {
            try Checkpoint(verifying: try SignedNote(parsing: $0), origin: verifier.name, by: [verifier])
        }
    }

    @Test("gets each newest one as it is signed, whole and verifiable")
    func takes() async throws {
        try await onLoop {
            let witness = try HTTPWitness()
            try witness.open()
            let recorder = try TestRecorder([
                "checkpoint_records: 10", "witness_url: \"http://127.0.0.1:\(witness.port)/take?from=here\"",
            ])
            try recorder.start()
            let worker = try await TestWorker(recorder)
            for round in 1...3 {
                let last = try await worker.send(20)
                try await worker.receive { $0.written == last }
                try await eventually { witness.notes.count >= round }
            }
            // The ledger begins with a record of its own.
            try await eventually { (try? checkpoints(witness.notes, recorder).last?.size) ?? 0 >= 60 }
            try await wait(for: "drawbridge_ledger_witnessed_total", above: 2, recorder)
            #expect(try await metric("drawbridge_ledger_witness_failures_total", recorder) == 0)
            #expect(try await recorder.stop().isSuccess)
            let found = try checkpoints(witness.notes, recorder)
            #expect(found.map(\.size) == found.map(\.size).sorted())
            let head = try #require(witness.heads.first)
            #expect(head.method == .post)
            #expect(String(decoding: head.target.origin, as: UTF8.self) == "/take?from=here")
            #expect(head.fields[.host] == "127.0.0.1:\(witness.port)")
            #expect(head.fields[.contentType] == "text/plain; charset=utf-8")
            await witness.close()
        }
    }

    @Test("holds nothing up while it is away, hangs or refuses; it is tried again, counted, and gets the newest")
    func away() async throws {
        // The recorder waits longer after each failure, up to a minute, and a slow machine makes more of them.
        try await onLoop(for: .seconds(600)) {
            let failures = "drawbridge_ledger_witness_failures_total"
            let witness = try HTTPWitness()
            let recorder = try TestRecorder([
                "checkpoint_records: 10", "witness_url: http://127.0.0.1:\(witness.port)/",
            ])
            try recorder.start()
            let worker = try await TestWorker(recorder)
            func work() async throws {
                let before = try await metric(failures, recorder)
                for _ in 0..<10 {
                    let last = try await worker.send(20, { _ in .synced })
                    try await worker.receive { $0.synced == last }
                }
                // Checkpoints were due at every turn; had each waited for the witness, each would have failed there.
                #expect(try await metric(failures, recorder) - before < 5)
            }
            try await work()
            try await wait(for: failures, above: 0, recorder)

            witness.manner = .hangs
            try witness.open()
            // On a busy machine it may have been asked a second time before we look.
            try await eventually { witness.requests >= 1 }
            try await work()
            let before = try await metric(failures, recorder)
            try await wait(for: failures, above: before, recorder)

            witness.manner = .refuses
            try await eventually { witness.requests > 1 }
            try await work()
            #expect(witness.notes == [])

            witness.manner = .takes
            try await eventually { !witness.notes.isEmpty }
            let first = try #require(try checkpoints(witness.notes, recorder).first)
            // What was signed meanwhile needs no note of its own: the newest covers it.
            #expect(first.size >= 600)
            #expect(try await metric(failures, recorder) >= 3)
            #expect(try await recorder.stop().isSuccess)
            #expect(try recorder.verify().finding == nil)
            await witness.close()
        }
    }
}
