import Glibc
import Loop
import Testing

@testable import Lifecycle

/// Children here are small shell scripts; their readiness is reported for them.
@Suite("Supervised process")
struct SupervisedProcessTests {
    init() { Loop.runInBackground() }

    @OnLoop private func plan(_ script: String) -> SupervisedProcess.Plan {
        var plan = SupervisedProcess.Plan(program: "/bin/sh")
        plan.arguments = ["-c", script]
        plan.environment = ["PATH": "/usr/bin:/bin"]
        plan.isReady = { _ in true }
        plan.backoff = Backoff(initial: .milliseconds(1), maximum: .milliseconds(5))
        return plan
    }

    /// Runs a slot whose child has said that it serves, and stops it afterwards. Each child writes a line when it runs.
    @OnLoop private func withChild(
        _ script: String = "echo up; exec sleep 60", changing change: (inout SupervisedProcess.Plan) -> Void = { _ in },
        _ body: (SupervisedProcess, _ child: Int32, Pipe) async throws -> Void
    ) async throws {
        let output = Pipe()
        var plan = self.plan(script)
        plan.isReady = nil
        plan.output = output.writer
        change(&plan)
        let process = SupervisedProcess("worker", plan)
        try await withThrowingTaskGroup { group in
            group.addTask { try await process.run {} }
            _ = try await output.readLines(1)
            process.reportReady()
            try await body(process, try #require(process.processID), output)
            process.stop()
            try await group.waitForAll()
        }
    }

    @Test("A child that ends is replaced, and told how often", .timeLimit(.minutes(1)))
    @OnLoop func restarts() async throws {
        let output = Pipe()
        var plan = plan("echo $DRAWBRIDGE_RESTARTS; test $DRAWBRIDGE_RESTARTS -lt 3 || exec sleep 60")
        plan.output = output.writer
        let process = SupervisedProcess("worker", plan)
        try await withThrowingTaskGroup { group in
            group.addTask { try await process.run {} }
            let lines = try await output.readLines(4)
            #expect(lines == ["0", "1", "2", "3"])
            process.stop()
            try await group.waitForAll()
        }
    }

    @Test("A child is replaced when another one is ready beside it, and ends then", .timeLimit(.minutes(1)))
    @OnLoop func replacement() async throws {
        let output = Pipe()
        var plan = self.plan("trap 'echo ended; exit 0' TERM; echo up; while :; do sleep 0.01; done")
        plan.isReady = nil
        plan.output = output.writer
        let process = SupervisedProcess("worker", plan)
        try await withThrowingTaskGroup { group in
            group.addTask { try await process.run {} }
            #expect(try await output.readLines(1) == ["up"])
            process.reportReady()
            let older = try #require(process.processID)
            group.addTask { try await process.replace() }
            #expect(try await output.readLines(1) == ["up"])
            #expect(process.processID == older)
            process.reportReady()
            #expect(try await output.readLines(1) == ["ended"])
            #expect(process.processID != older)
            #expect(process.restarts == 0)
            process.stop()
            try await group.waitForAll()
        }
    }

    @Test("A child that is to read anew is waited for, and none where none serves", .timeLimit(.minutes(1)))
    @OnLoop func reload() async throws {
        let output = Pipe()
        var plan = self.plan("trap 'echo reads' HUP; echo up; while :; do sleep 0.01; done")
        plan.isReady = nil
        plan.output = output.writer
        plan.endings = [(SIGKILL, .seconds(10))]
        let process = SupervisedProcess("worker", plan)
        #expect(await process.reload(patience: .zero), "not started yet")
        try await withThrowingTaskGroup { group in
            group.addTask { try await process.run {} }
            #expect(try await output.readLines(1) == ["up"])
            process.reportReady()
            let answer = Task { await process.reload(patience: .seconds(30)) }
            #expect(try await output.readLines(1) == ["reads"])
            process.reportReady()
            #expect(await answer.value)
            #expect(await !process.reload(patience: .milliseconds(50)), "it says nothing in time")
            process.stop()
            try await group.waitForAll()
        }
    }

    @Test("A child goes on where the other one does not get ready", .timeLimit(.minutes(1)))
    @OnLoop func failedReplacement() async throws {
        let mark = "/tmp/drawbridge-replacement-\(UInt64.random(in: 0 ... .max))"
        defer { unlink(mark) }
        try await withChild("test -e $0 && exit 1; touch $0; echo up; exec sleep 60") {
            $0.arguments.append(mark)
        } _: { process, older, _ in
            await #expect(throws: SupervisedProcess.ReplacementError.self) { try await process.replace() }
            #expect(process.processID == older)
        }
    }

    @Test("A child that was ready in time may run as long as it likes", .timeLimit(.minutes(1)))
    @OnLoop func staysReady() async throws {
        try await withChild {
            $0.startTimeout = .seconds(2)
        } _: { process, child, _ in
            try await Loop.sleep(for: .seconds(3))
            #expect(process.processID == child && process.restarts == 0)
        }
    }

    @Test("A child that says that it ends has a successor at once, which is watched as any", .timeLimit(.minutes(1)))
    @OnLoop func endsByItself() async throws {
        var first: Int32 = 0
        try await withChild { process, older, output in
            first = older
            process.reportStopping(older)
            process.reportStopping(older)
            _ = try await output.readLines(1)
            process.reportReady()
            let newer = try #require(process.processID)
            #expect(newer != older && process.restarts == 1 && kill(older, 0) == 0)
            // It has its own place no more.
            process.reportStopping(older)
            kill(newer, SIGKILL)
            _ = try await output.readLines(1)
            #expect(process.restarts == 2 && process.processID != newer && kill(older, 0) == 0)
        }
        #expect(kill(first, 0) != 0)
    }

    @Test("A child says that it serves, or that it ends")
    func reports() {
        #expect(ChildReport("READY=1\nDRAWBRIDGE_PROCESS=gateway-0") == .ready(process: "gateway-0"))
        #expect(
            ChildReport("STOPPING=1\nMAINPID=12\nDRAWBRIDGE_PROCESS=gateway-0")
                == .stopping(process: "gateway-0", processID: 12))
        for message in ["STOPPING=1", "READY=1", "STOPPING=1\nDRAWBRIDGE_PROCESS=a", "DRAWBRIDGE_PROCESS=a", ""] {
            #expect(ChildReport(message) == nil)
        }
    }

    @Test("A child that dies while another one gets ready leaves it the place", .timeLimit(.minutes(1)))
    @OnLoop func earlySuccession() async throws {
        let output = Pipe()
        var plan = self.plan("echo up; exec sleep 60")
        plan.isReady = nil
        plan.output = output.writer
        let process = SupervisedProcess("worker", plan)
        try await withThrowingTaskGroup { group in
            group.addTask { try await process.run {} }
            _ = try await output.readLines(1)
            process.reportReady()
            let older = try #require(process.processID)
            let replaced = Signal()
            group.addTask {
                try await process.replace()
                await replaced.fire()
            }
            _ = try await output.readLines(1)
            kill(older, SIGKILL)
            while process.processID == older { try await Loop.sleep(for: .milliseconds(1)) }
            process.reportReady()
            try await replaced.wait()
            #expect(process.restarts == 0)
            process.stop()
            try await group.waitForAll()
        }
    }

    @Test("A child that is killed leaves the slot's socket open", .timeLimit(.minutes(1)))
    @OnLoop func keepsSockets() async throws {
        let socket = HandedSocket("http", try ListeningSocket(address: "127.0.0.1", port: 0, isShared: true))
        let output = Pipe()
        var plan = plan("readlink /proc/$$/fd/3; echo $LISTEN_FDS $LISTEN_FDNAMES; exec sleep 60")
        plan.sockets = [socket]
        plan.output = output.writer
        let process = SupervisedProcess("worker", plan)
        try await withThrowingTaskGroup { group in
            group.addTask { try await process.run {} }
            let first = try await output.readLines(2)
            process.send(signal: SIGKILL)
            let second = try await output.readLines(2)
            #expect(first == second)
            #expect(first.last == "1 http")
            #expect(first.first?.hasPrefix("socket:") == true)
            process.stop()
            try await group.waitForAll()
        }
    }

    @Test("A child that never gets up is given up after its first starts", .timeLimit(.minutes(1)))
    @OnLoop func givesUp() async throws {
        var plan = plan("exit 78")
        plan.isReady = nil
        let process = SupervisedProcess("worker", plan)
        let error = await #expect(throws: SupervisedProcess.StartError.self) { try await process.run {} }
        #expect(error?.description == "worker does not start: exit status 78")
        #expect(process.restarts == 2)
    }

    @Test("A child that does not answer its ending signal gets the next one", .timeLimit(.minutes(1)))
    @OnLoop func escalates() async throws {
        let output = Pipe()
        var plan = plan("trap 'echo asked' TERM; echo up; while :; do sleep 0.01; done")
        plan.output = output.writer
        plan.endings = [(SIGTERM, .milliseconds(300))]
        let process = SupervisedProcess("worker", plan)
        try await withThrowingTaskGroup { group in
            group.addTask { try await process.run {} }
            #expect(try await output.readLines(1) == ["up"])
            process.stop()
            #expect(try await output.readLines(1) == ["asked"])
            try await group.waitForAll()
        }
        #expect(process.processID == nil)
    }

    @Test("Being ready is said once, by the child's datagram", .timeLimit(.minutes(1)))
    @OnLoop func readiness() async throws {
        let path = "/tmp/drawbridge-test-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"
        var plan = plan("exec sleep 60")
        plan.isReady = nil
        let process = SupervisedProcess("gateway-0", plan)
        let listener = try ReadinessListener(path: path) { report in
            #expect(report == .ready(process: "gateway-0"))
            process.reportReady()
        }
        defer { listener.close() }
        let times = Counter()
        try await withThrowingTaskGroup { group in
            group.addTask {
                try await process.run {
                    times.value += 1
                    process.stop()
                }
            }
            while process.processID == nil { try await Loop.sleep(for: .milliseconds(1)) }
            Readiness.send("STOPPING=1\nDRAWBRIDGE_PROCESS=gateway-0", to: path)
            Readiness.send("READY=1\nDRAWBRIDGE_PROCESS=gateway-0", to: path)
            try await group.waitForAll()
        }
        #expect(times.value == 1)
        listener.close()
        #expect(access(path, F_OK) != 0)
    }
}

@OnLoop
private final class Counter {
    var value = 0
}

/// A pipe whose writer children inherit.
private final class Pipe: Sendable {
    let writer: Int32
    private let reader: Int32

    init() {
        var ends: [Int32] = [0, 0]
        precondition(pipe(&ends) == 0)
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (reader, writer) = (ends[0], ends[1])
        _ = fcntl(reader, F_SETFL, O_NONBLOCK)
    }

    deinit {
        close(reader)
        close(writer)
    }

    /// Waits until so many lines have come.
    @OnLoop func readLines(_ count: Int) async throws -> [String] {
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while bytes.count(where: { $0 == UInt8(ascii: "\n") }) < count {
            if read(reader, &byte, 1) == 1 { bytes.append(byte) } else { try await Loop.sleep(for: .milliseconds(2)) }
        }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }
}
