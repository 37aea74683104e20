import Glibc
import Loop
import Testing

@Suite(.serialized) struct ProcessTests {
    init() { Loop.runInBackground() }

    @OnLoop private func shell(_ script: String, _ environment: [String: String] = [:]) throws -> ChildProcess {
        try ChildProcess(
            "/bin/sh", ["-c", script], environment: environment, descriptors: [.null, .null, .inherit(2)])
    }

    @Test("A program's exit status is reported")
    @OnLoop func exitStatus() async throws {
        let child = try shell("exit 7")
        #expect(child.isRunning)
        #expect(try await child.waitForExit().description == "exit status 7")
        #expect(!child.isRunning)
        child.send(signal: SIGTERM)
    }

    @Test("A program that a signal ends reports the signal")
    @OnLoop func killed() async throws {
        let child = try shell("exec sleep 1000")
        child.send(signal: SIGKILL)
        #expect(try await child.waitForExit().signal == SIGKILL)
    }

    @Test("A child has the environment it is given and nothing else")
    @OnLoop func environment() async throws {
        let child = try shell("test \"$A\" = 'one two' && test -z \"$HOME\"", ["A": "one two"])
        #expect(try await child.waitForExit().isSuccess)
    }

    @Test("A child inherits the descriptors it is given, at their places, and no other")
    @OnLoop func descriptors() async throws {
        let socket = try ListeningSocket(address: "127.0.0.1", port: 0)
        let child = try ChildProcess(
            "/bin/sh",
            [
                "-c",
                "case $(readlink /proc/self/fd/3) in socket:*) ;; *) exit 3;; esac; test ! -e /proc/$$/fd/4 || exit 4",
            ],
            environment: ["PATH": "/usr/bin:/bin"],
            descriptors: [.null, .null, .inherit(2), .inherit(socket.inheritable)])
        #expect(try await child.waitForExit().description == "exit status 0")
        withExtendedLifetime(socket.port) {}
    }

    @Test("A program that is not there cannot be started")
    @OnLoop func missing() throws {
        #expect(throws: LoopError.self) {
            _ = try ChildProcess("/no/such/program", [], environment: [:], descriptors: [])
        }
    }

    @Test("Waiting for a child can be cancelled, and waited for again")
    @OnLoop func cancelWait() async throws {
        let child = try shell("exec sleep 1000")
        let outcome = try await cancelled { try await child.waitForExit() }
        #expect(throws: CancellationError.self) { try outcome.get() }
        child.send(signal: SIGTERM)
        #expect(try await child.waitForExit().signal == SIGTERM)
    }

    @Test("Signals to this process are received, several of a kind as one")
    @OnLoop func signals() async throws {
        let signals = ProcessSignals([.hangUp])
        kill(getpid(), SIGHUP)
        #expect(try await signals.next() == .hangUp)
        for _ in 0..<3 { kill(getpid(), SIGHUP) }
        try await Loop.sleep(for: .milliseconds(10))
        #expect(try await signals.next() == .hangUp)
        let outcome = try await cancelled { try await signals.next() }
        #expect(throws: CancellationError.self) { try outcome.get() }
        signals.close()
    }

    @Test("Offloaded work runs on another thread and gives its value or its error")
    @OnLoop func offload() async throws {
        let here = UInt(pthread_self())
        #expect(try await Loop.offload { UInt(pthread_self()) } != here)
        #expect(UInt(pthread_self()) == here)
        await #expect(throws: LoopError(.tooLarge, "work")) {
            try await Loop.offload { throw LoopError(.tooLarge, "work") }
        }
    }

    @Test("A signal fired before the wait is remembered, several are one")
    @OnLoop func signal() async throws {
        let signal = Signal()
        signal.fire()
        signal.fire()
        try await signal.wait()
        let outcome = try await cancelled { try await signal.wait() }
        #expect(throws: CancellationError.self) { try outcome.get() }
    }

    @Test("A task that is always ready does not keep timers from firing")
    @OnLoop func fairness() async throws {
        let isDone = Counter()
        let busy = Task { while isDone.value == 0 { await Task.yield() } }
        try await Loop.sleep(for: .milliseconds(5))
        isDone.value = 1
        await busy.value
    }
}
