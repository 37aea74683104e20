import Loop
import Testing

@Suite struct DeadlineTests {
    init() { Loop.runInBackground() }

    @Test("A deadline fires once")
    @OnLoop func once() async throws {
        var count = 0
        let deadline = Deadline { count += 1 }
        deadline.set(.milliseconds(2))
        try await Loop.sleep(for: .milliseconds(30))
        #expect(count == 1)
        deadline.cancel()
    }

    @Test("A deadline set again later fires at the later instant only")
    @OnLoop func later() async throws {
        let started = Loop.monotonicNanoseconds
        let signal = Signal()
        let deadline = Deadline { signal.fire() }
        deadline.set(.milliseconds(5))
        deadline.set(.milliseconds(60))
        try await signal.wait()
        #expect(Loop.monotonicNanoseconds - started >= 30_000_000)
        deadline.cancel()
    }

    @Test("A deadline set again sooner fires at the sooner instant")
    @OnLoop func sooner() async throws {
        let signal = Signal()
        let deadline = Deadline { signal.fire() }
        deadline.set(.seconds(1000))
        deadline.set(.milliseconds(2))
        try await signal.wait()
        deadline.cancel()
    }

    @Test("A cleared or cancelled deadline does not fire", arguments: [false, true])
    @OnLoop func cleared(isCancelled: Bool) async throws {
        var count = 0
        let deadline = Deadline { count += 1 }
        deadline.set(.milliseconds(2))
        if isCancelled { deadline.cancel() } else { deadline.clear() }
        try await Loop.sleep(for: .milliseconds(20))
        #expect(count == 0)
        deadline.cancel()
    }

    @Test("A deadline may be set again inside its own callback")
    @OnLoop func again() async throws {
        let signal = Signal()
        let holder = Holder()
        holder.deadline = Deadline {
            holder.count += 1
            if holder.count < 3 { holder.deadline?.set(.milliseconds(1)) } else { signal.fire() }
        }
        holder.deadline?.set(.milliseconds(1))
        try await signal.wait()
        #expect(holder.count == 3)
        holder.deadline?.cancel()
    }

    @Test("A deadline may be cancelled inside its own callback")
    @OnLoop func cancelInside() async throws {
        let holder = Holder()
        holder.deadline = Deadline {
            holder.count += 1
            holder.deadline?.cancel()
            holder.deadline?.set(.milliseconds(1))
        }
        holder.deadline?.set(.milliseconds(1))
        try await Loop.sleep(for: .milliseconds(20))
        #expect(holder.count == 1)
    }

    @OnLoop private final class Holder {
        var deadline: Deadline?
        var count = 0
    }

    @Test("A duration beyond any clock is no deadline, a negative one is now")
    @OnLoop func extremes() async throws {
        let signal = Signal()
        let never = Deadline { signal.fire() }
        never.set(.seconds(Int64.max))
        let now = Deadline { signal.fire() }
        now.set(.seconds(-5))
        try await signal.wait()
        never.cancel()
        now.cancel()
    }

    @Test("A sleep is not shorter than asked for after long computation")
    @OnLoop func sleepAfterWork() async throws {
        var started = Loop.monotonicNanoseconds
        while Loop.monotonicNanoseconds - started < 20_000_000 {}
        started = Loop.monotonicNanoseconds
        try await Loop.sleep(for: .milliseconds(20))
        #expect(Loop.monotonicNanoseconds - started >= 18_000_000)
    }

    @Test("Work within its deadline gives its value, work beyond it is cancelled and reported")
    @OnLoop func withDeadline() async throws {
        #expect(try await Loop.withDeadline(.seconds(60), "work") { 7 } == 7)
        await #expect(throws: LoopError(.timedOut, "work")) {
            try await Loop.withDeadline(.milliseconds(2), "work") { try await Loop.sleep(for: .seconds(1000)) }
        }
        await #expect(throws: LoopError(.closed, "work")) {
            try await Loop.withDeadline(.seconds(60), "work") { throw LoopError(.closed, "work") }
        }
    }

    @Test("What the work returns although its time is up is not lost")
    @OnLoop func lateResult() async throws {
        let result = try await Loop.withDeadline(.milliseconds(1), "work") {
            try? await Loop.sleep(for: .seconds(1000))
            return "a connection"
        }
        #expect(result == "a connection")
    }
}
