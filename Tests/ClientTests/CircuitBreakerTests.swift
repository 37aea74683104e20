import Testing

@testable import Client

@Suite("Circuit breaker")
struct CircuitBreakerTests {
    private static let millisecond: UInt64 = 1_000_000

    private static func opened(at now: UInt64 = 0) -> CircuitBreaker {
        var breaker = CircuitBreaker()
        for _ in 0..<5 { breaker.failed(at: now) }
        return breaker
    }

    @Test("Single failures change nothing, however many")
    func single() {
        var breaker = CircuitBreaker()
        for _ in 0..<100 {
            for _ in 0..<4 { breaker.failed(at: 0) }
            breaker.succeeded(at: 0)
        }
        #expect(breaker.admit(at: 0) == .admitted)
        #expect(breaker.share(of: 64, at: 0) == 64)
    }

    @Test("After five in a row nothing is sent, then one request tries")
    func opens() {
        var breaker = Self.opened()
        #expect(breaker.admit(at: 199 * Self.millisecond) == .refused)
        #expect(breaker.admit(at: 200 * Self.millisecond) == .probe)
        #expect(breaker.admit(at: 201 * Self.millisecond) == .refused)
    }

    @Test("A try that fails doubles the pause, up to a bound")
    func backsOff() {
        var breaker = Self.opened()
        var now: UInt64 = 0
        for pause: UInt64 in [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            #expect(breaker.admit(at: now + pause * Self.millisecond - 1) == .refused)
            now += pause * Self.millisecond
            #expect(breaker.admit(at: now) == .probe)
            breaker.failed(at: now)
        }
    }

    @Test("A try that succeeds lets the load come back step by step")
    func slowStart() {
        var breaker = Self.opened()
        let now = 200 * Self.millisecond
        #expect(breaker.admit(at: now) == .probe)
        breaker.succeeded(at: now)
        #expect(breaker.admit(at: now) == .admitted)
        #expect(breaker.share(of: 100, at: now) == 10)
        #expect(breaker.share(of: 100, at: now + 2500 * Self.millisecond) == 50)
        #expect(breaker.share(of: 100, at: now + 5000 * Self.millisecond) == 100)
    }

    @Test("A health check that goes well closes it at once")
    func healthCheck() {
        var breaker = Self.opened()
        breaker.succeeded(at: 1)
        #expect(breaker.admit(at: 1) == .admitted)
    }

    @Test("A probe that tells nothing leaves its place to the next request")
    func forgotten() {
        var breaker = Self.opened()
        #expect(breaker.admit(at: 200 * Self.millisecond) == .probe)
        breaker.forgotten(at: 201 * Self.millisecond)
        #expect(breaker.admit(at: 201 * Self.millisecond) == .probe)
    }

    @Test("What had been sent before it opened changes nothing any more")
    func late() {
        var breaker = Self.opened()
        breaker.failed(at: 150 * Self.millisecond)
        #expect(breaker.admit(at: 200 * Self.millisecond) == .probe)
    }
}
