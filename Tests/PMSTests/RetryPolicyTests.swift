import PMS
import Postgres
import TestSupport
import Testing

@Suite("How often a write into the PMS is tried")
struct RetryPolicyTests {
    @Test("By default: three attempts, one second and then two in between, each up to half as long again")
    func defaults() {
        let policy = RetryPolicy()
        let failure = WriteFailure(.connectionLost, isDoubtful: true, "")
        #expect(policy.wait(after: 1, failure, random: 0) == .seconds(1))
        #expect(policy.wait(after: 1, failure, random: 1) == .milliseconds(1500))
        #expect(policy.wait(after: 2, failure, random: 0) == .seconds(2))
        #expect(policy.wait(after: 2, failure, random: 1) == .seconds(3))
        #expect(policy.wait(after: 3, failure, random: 0) == nil)
        #expect(policy.delay(after: 6, random: 0) == .seconds(30))
        #expect(policy.delay(after: 6, random: 1) == .seconds(45))
    }

    @Test("What cannot help is not tried again, nor what the policy does not name")
    func permanent() {
        var policy = RetryPolicy()
        for kind in [WriteFailure.Kind.refused, .unreadable] {
            #expect(policy.wait(after: 1, WriteFailure(kind, isDoubtful: false, ""), random: 0) == nil)
        }
        let busy = WriteFailure(.busy, isDoubtful: false, "")
        #expect(policy.wait(after: 1, busy, random: 0) != nil)
        policy.retryable.remove(.busy)
        #expect(policy.wait(after: 1, busy, random: 0) == nil)
    }

    @Test("A PMS that asks to be left alone for longer is")
    func retryAfter() {
        let failure = WriteFailure(status: 429, "", retryAfter: .seconds(7))
        #expect(RetryPolicy().wait(after: 1, failure, random: 0) == .seconds(7))
        #expect(RetryPolicy().wait(after: 1, WriteFailure(status: 429, ""), random: 0) == .seconds(1))
    }

    @Test("Random policies: no wait is shorter than the one before it could be, none over the cap and its jitter")
    func properties() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededNumbers(seed: seed)
        for _ in 0..<2_000 {
            var policy = RetryPolicy()
            policy.attempts = .random(in: 1...20, using: &random)
            policy.initialDelay = .milliseconds(.random(in: 1...60_000, using: &random))
            policy.multiplier = .random(in: 1...10, using: &random)
            policy.longestDelay = .milliseconds(.random(in: 1...3_600_000, using: &random))
            policy.jitterPercentage = .random(in: 0...50, using: &random)
            var least = Duration.zero
            for attempt in 1...25 {
                let base = policy.delay(after: attempt, random: 0)
                let delay = policy.delay(after: attempt, random: .random(in: 0...1, using: &random))
                #expect(base >= least && base <= policy.longestDelay, "seed \(seed)")
                #expect(base >= min(policy.initialDelay, policy.longestDelay), "seed \(seed)")
                let longest = base * (100 + policy.jitterPercentage) / 100 + .nanoseconds(1)
                #expect(delay >= base && delay <= longest, "seed \(seed)")
                least = base
                let waits =
                    policy.wait(after: attempt, WriteFailure(.collision, isDoubtful: false, ""), random: 0) != nil
                #expect(waits == (attempt < policy.attempts), "seed \(seed)")
            }
        }
    }
}

@Suite("Why a write into the PMS failed")
struct WriteFailureTests {
    @Test(
        "PostgreSQL's errors are told apart",
        arguments: [
            (PostgresError.Code.unavailable, WriteFailure.Kind.unreachable), (.tooManyWaiters, .busy),
            (.connectionLost, .connectionLost), (.timedOut, .timedOut), (.serializationFailure, .collision),
            (.deadlock, .collision), (.uniqueViolation(constraint: "x"), .refused), (.decoding, .unreadable),
            (.sql(state: "P0001"), .refused), (.sql(state: "42501"), .refused), (.sql(state: "55P03"), .timedOut),
            (.sql(state: "55000"), .refused), (.sql(state: "53200"), .busy), (.sql(state: "58030"), .serverError),
            (.sql(state: "57P05"), .serverError), (.sql(state: "25006"), .serverError),
            (.sql(state: "25P02"), .refused),
        ])
    func postgres(code: PostgresError.Code, kind: WriteFailure.Kind) {
        let failure = WriteFailure(PostgresError(code, "x"))
        #expect(failure.kind == kind)
        // Before a commit nothing has taken effect.
        #expect(failure.nature == (kind.isTransient ? .retryable : .permanent))
    }

    @Test(
        "A vendor's statuses are told apart, and those after which nobody knows what was done",
        arguments: [
            (429, WriteFailure.Kind.busy, WriteFailure.Nature.retryable), (503, .busy, .retryable),
            (500, .serverError, .doubtful), (502, .serverError, .doubtful), (504, .timedOut, .doubtful),
            (408, .timedOut, .doubtful), (400, .refused, .permanent), (401, .refused, .permanent),
            (403, .refused, .permanent), (404, .refused, .permanent), (409, .refused, .permanent),
            (422, .refused, .permanent),
        ])
    func status(status: Int, kind: WriteFailure.Kind, nature: WriteFailure.Nature) {
        let failure = WriteFailure(status: status, "x")
        #expect(failure.kind == kind && failure.nature == nature)
    }

    @Test("What is no failure of a write is none")
    func others() { #expect(WriteFailure(CancellationError()) == nil) }
}

@Suite("A write that nobody waits for")
struct BackgroundWriteTests {
    private let policy = RetryPolicy()
    private let lost = BackgroundWrite.Outcome.failed(WriteFailure(.connectionLost, isDoubtful: true, ""))
    private let away = BackgroundWrite.Outcome.failed(WriteFailure(.unreachable, isDoubtful: false, ""))
    private let refused = BackgroundWrite.Outcome.failed(WriteFailure(.refused, isDoubtful: false, ""))

    private func after(
        _ outcome: BackgroundWrite.Outcome, _ attempts: Int, _ status: BackgroundWrite.Status = .pending
    ) -> BackgroundWrite.Step {
        BackgroundWrite(status: status, attempts: attempts).after(outcome, policy, random: 0)
    }

    @Test("It is tried as often as the policy says, and then is a dead letter")
    func life() {
        #expect(after(lost, 1) == .init(write: .init(status: .retrying, attempts: 1), wait: .seconds(1)))
        #expect(after(lost, 2, .retrying) == .init(write: .init(status: .retrying, attempts: 2), wait: .seconds(2)))
        #expect(after(lost, 3, .retrying) == .init(write: .init(status: .dead, attempts: 3), wait: nil))
        #expect(after(.done, 3, .retrying) == .init(write: .init(status: .resolved, attempts: 3), wait: nil))
    }

    @Test("What the PMS refuses is a dead letter at once")
    func refusal() { #expect(after(refused, 1).write.status == .dead) }

    @Test("While the PMS is away, or somebody is in the way, no attempt is used up")
    func waiting() {
        for outcome in [BackgroundWrite.Outcome.notYet, away] {
            #expect(after(outcome, 1) == .init(write: .init(status: .pending, attempts: 0), wait: .seconds(1)))
            #expect(
                after(outcome, 3, .retrying) == .init(write: .init(status: .retrying, attempts: 2), wait: .seconds(4)))
        }
    }

    @Test("Attempts that end without a word come to an end as well")
    func spent() {
        #expect(!BackgroundWrite(status: .retrying, attempts: 3).isSpent(policy))
        #expect(BackgroundWrite(status: .retrying, attempts: 4).isSpent(policy))
        #expect(!BackgroundWrite(status: .dead, attempts: 4).isSpent(policy))
    }

    @Test("Random outcomes: what has ended stays so, and only attempts that reached the PMS count")
    func histories() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededNumbers(seed: seed)
        for _ in 0..<2_000 {
            var policy = RetryPolicy()
            policy.attempts = .random(in: 1...6, using: &random)
            var (write, counted) = (BackgroundWrite(status: .pending, attempts: 0), 0)
            for _ in 0..<30 {
                let outcome = [.done, .notYet, lost, away, refused, lost, .notYet].randomElement(using: &random)!
                let begun =
                    write.status.isOpen ? BackgroundWrite(status: write.status, attempts: write.attempts + 1) : write
                let step = begun.after(outcome, policy, random: .random(in: 0...1, using: &random))
                if !write.status.isOpen {
                    #expect(step == .init(write: write, wait: nil), "seed \(seed)")
                    continue
                }
                if outcome != .notYet, outcome != away { counted += 1 }
                #expect(step.write.attempts == counted && counted <= policy.attempts, "seed \(seed)")
                #expect(step.write.status.isOpen == (step.wait != nil), "seed \(seed)")
                #expect((step.write.status == .resolved) == (outcome == .done), "seed \(seed)")
                write = step.write
            }
        }
    }
}
