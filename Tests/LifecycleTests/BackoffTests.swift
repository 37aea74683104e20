import Lifecycle
import Testing

@Suite("Backoff")
struct BackoffTests {
    @Test("Each failure in a row doubles the wait, up to the maximum")
    func doubles() {
        var backoff = Backoff(initial: .milliseconds(100), maximum: .seconds(1), jitter: 0)
        let waits = (0..<6).map { _ in backoff.delay(afterRunningFor: .zero, chance: 0) }
        #expect(waits == [100, 200, 400, 800, 1000, 1000].map { .milliseconds($0) })
    }

    @Test("What ran for the stable period starts from the beginning")
    func forgets() {
        var backoff = Backoff(initial: .milliseconds(100), jitter: 0, stablePeriod: .seconds(30))
        for _ in 0..<5 { _ = backoff.delay(afterRunningFor: .seconds(29), chance: 0) }
        #expect(backoff.delay(afterRunningFor: .seconds(30), chance: 0) == .milliseconds(100))
        #expect(backoff.failures == 1)
    }

    @Test("Jitter shortens a wait by at most its share", arguments: [0, 0.25, 0.5, 0.999])
    func jitters(chance: Double) {
        var backoff = Backoff(initial: .seconds(1), jitter: 0.2)
        let wait = backoff.delay(afterRunningFor: .zero, chance: chance)
        #expect(wait <= .seconds(1) && wait > .milliseconds(800))
    }

    @Test("However many failures there are, the wait stays at the maximum")
    func doesNotOverflow() {
        var backoff = Backoff(initial: .milliseconds(1), maximum: .seconds(5), jitter: 0)
        for _ in 0..<10_000 { _ = backoff.delay(afterRunningFor: .zero, chance: 0) }
        #expect(backoff.delay(afterRunningFor: .zero, chance: 0) == .seconds(5))
    }
}
