import Glibc
import JSONText
import Ledger
import Loop
import TestSupport
import Testing

@Suite("The ledger's process", .serialized)
struct RecorderTests {
    @Test("writes what workers send, acknowledges it, and signs for it when it stops")
    func writes() async throws {
        try await onLoop {
            let recorder = try TestRecorder()
            try recorder.start()
            let worker = try await TestWorker(recorder)
            let last = try await worker.send(100, { $0 % 2 == 0 ? .written : .synced })
            try await worker.receive { $0.written == last && $0.synced == last - 1 }
            #expect(try recorder.objects().compactMap { $0["n"]?.integer } == Array(1...100))
            #expect(try await recorder.stop().isSuccess)
            let report = try recorder.verify()
            #expect(report.finding == nil)
            #expect(report.size == 101)
            #expect(report.unsignedCount == 0)
        }
    }

    @Test("takes several workers' records, each in its order")
    func severalWorkers() async throws {
        try await onLoop {
            let recorder = try TestRecorder()
            try recorder.start()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<8 { group.addTask { try await Self.work(recorder, number) } }
                try await group.waitForAll()
            }
            let objects = try recorder.objects()
            for number in 0..<8 {
                #expect(
                    objects.filter { $0["w"]?.integer == Int64(number) }.compactMap { $0["n"]?.integer }
                        == Array(1...500))
            }
            #expect(try await recorder.stop().isSuccess)
            #expect(try recorder.verify().finding == nil)
        }
    }

    @OnLoop private static func work(_ recorder: TestRecorder, _ number: Int) async throws {
        let worker = try await TestWorker(recorder, name: "w\(number)")
        for _ in 0..<20 {
            let last = try await worker.send(25, { _ in .synced }, worker: number)
            try await worker.receive { $0.synced == last }
        }
        worker.stream.close()
    }

    @Test("loses nothing that it acknowledged, wherever 200 kills hit it")
    func killed() async throws {
        try await onLoop(for: .seconds(170)) {
            let recorder = try TestRecorder(["segment_size: 64 KiB", "checkpoint_records: 50"])
            var promised: Set<Int64> = []
            var first: UInt64 = 1
            for round in 0..<200 {
                try recorder.start()
                let worker = try await TestWorker(recorder, first: first)
                // Some while it opens the ledger, most while it writes.
                if round % 8 != 0 {
                    let ticket = try await worker.send()
                    try await worker.receive { $0.written == ticket }
                }
                let killing = Task { @OnLoop in
                    try await Loop.sleep(for: .microseconds(.random(in: 0...30_000)))
                    _ = try await recorder.stop(SIGKILL)
                    // What it answered is read; a connection that it never took would wait for the next process.
                    try await Loop.sleep(for: .milliseconds(3))
                    worker.stream.close()
                }
                var sent: UInt64 = first
                do {
                    while true {
                        sent = try await worker.send(.random(in: 1...40), { $0 % 3 == 0 ? .synced : .written })
                        let enough = sent - .random(in: 0..<min(sent, 60))
                        try await worker.receive { $0.written >= enough || $0.synced >= enough }
                    }
                } catch is LoopError {}
                // What the kernel had of its answers was a promise, too.
                try? await worker.receive { _ in false }
                try await killing.value
                for ticket in first...max(sent, first) {
                    if ticket % 3 == 0 ? ticket <= worker.synced : ticket <= worker.written {
                        promised.insert(Int64(ticket))
                    }
                }
                first = sent + 1000
                worker.stream.close()
                if round % 20 == 19 { #expect(try recorder.verify().finding == nil) }
            }
            try recorder.start()
            let worker = try await TestWorker(recorder, first: first)
            let last = try await worker.send()
            try await worker.receive { $0.written == last }
            #expect(try await recorder.stop().isSuccess)
            let report = try recorder.verify()
            #expect(report.finding == nil)
            #expect(report.unsignedCount == 0)
            let found = Set(try recorder.objects().compactMap { $0["n"]?.integer })
            #expect(promised.count > 1000)
            #expect(promised.subtracting(found).isEmpty)
        }
    }

    @Test("cuts a worker that breaks the protocol, and goes on with the others")
    func cuts() async throws {
        try await onLoop {
            let recorder = try TestRecorder()
            try recorder.start()
            let good = try await TestWorker(recorder)
            for bytes in [[0, 0, 0, 1, 9], [0xFF, 0xFF, 0xFF, 0xFF]] as [[UInt8]] {
                let bad = try await TestWorker(recorder, name: "bad")
                try await bad.stream.write(bytes)
                #expect(try await bad.stream.fill() == false)
            }
            let bad = try await TestWorker(recorder, name: "bad")
            var bytes: [UInt8] = []
            RecordFrame.appendRecord(ticket: 1, .written, to: &bytes) { $0 += Array("{\"a\":1}\n{}".utf8) }
            try await bad.stream.write(bytes)
            try? await bad.receive { _ in false }
            #expect(bad.written == 0)
            let last = try await good.send()
            try await good.receive { $0.written == last }
            #expect(try recorder.objects().count == 1)
            #expect(recorder.log.split(separator: "\n").count { $0.contains("breaks the protocol") } == 3)
        }
    }

    @Test("becomes the owner of its directory when root starts it", .enabled(if: geteuid() == 0, "needs root"))
    func becomesOwner() async throws {
        try await onLoop {
            let recorder = try TestRecorder()
            let user: uid_t = 61_357
            chown("\(recorder.home)/ledger", user, user)
            try recorder.start()
            let worker = try await TestWorker(recorder)
            let last = try await worker.send(1, { _ in .synced })
            try await worker.receive { $0.synced == last }
            let status = TestRecorder.text("/proc/\(recorder.processID)/status").split(separator: "\n")
            #expect(status.contains { $0 == "Uid:\t61357\t61357\t61357\t61357" }, "\(status)")
            #expect(status.contains { $0.hasPrefix("Groups:") && $0.dropFirst(7).allSatisfy(\.isWhitespace) })
            for name in ["signing-key.pem", "verifiers", "records", "records/00000000000000000000.jsonl"] {
                var file = stat()
                #expect(stat("\(recorder.home)/ledger/\(name)", &file) == 0)
                #expect(file.st_uid == user)
                #expect(file.st_mode & 0o027 == 0)
            }
            #expect(try await recorder.stop().isSuccess)
        }
    }

    @Test("keeps its key and its name, and believes what a former key signed")
    func changesKey() async throws {
        try await onLoop {
            let recorder = try TestRecorder()
            for round in 1...2 {
                try recorder.start()
                let worker = try await TestWorker(recorder)
                let last = try await worker.send()
                try await worker.receive { $0.written == last }
                #expect(try await recorder.stop().isSuccess)
                #expect(TestRecorder.text("\(recorder.home)/ledger/verifiers").split(separator: "\n").count == round)
                #expect(try recorder.verify().finding == nil)
                unlink("\(recorder.home)/ledger/signing-key.pem")
            }
        }
    }

    @Test("does not start over a ledger that was changed")
    func damaged() async throws {
        try await onLoop {
            let recorder = try TestRecorder()
            try recorder.start()
            let worker = try await TestWorker(recorder)
            let last = try await worker.send(3)
            try await worker.receive { $0.written == last }
            #expect(try await recorder.stop().isSuccess)
            let path = "\(recorder.records)/00000000000000000000.jsonl"
            TestRecorder.write(TestRecorder.text(path).replacing("\"n\":2", with: "\"n\":9"), to: path)
            try recorder.start()
            try await eventually { !recorder.isUp }
            #expect(recorder.log.contains("ledger stops"))
            #expect(recorder.log.contains("record 2 is not the one whose hash was stored"))
        }
    }

    @Test("gives its checkpoints to a witness")
    func witness() async throws {
        try await onLoop {
            let recorder = try TestRecorder(["checkpoint_records: 10", "witness_file: witness"])
            try recorder.start()
            let worker = try await TestWorker(recorder)
            for _ in 0..<3 {
                let last = try await worker.send(20)
                try await worker.receive { $0.written == last }
            }
            let path = "\(recorder.home)/witness"
            try await eventually { TestRecorder.text(path).split(separator: "\n").count >= 8 }
            #expect(try await recorder.stop().isSuccess)
            let note = try SignedNote(
                parsing: TestRecorder.text(path).split(separator: "\n\n").prefix(2).joined(separator: "\n\n") + "\n")
            let verifier = try NoteVerifier(
                String(TestRecorder.text("\(recorder.home)/ledger/verifiers").split(separator: "\n")[0]))
            #expect(throws: Never.self) {
                try Checkpoint(verifying: note, origin: verifier.name, by: [verifier])
            }
        }
    }
}
