import Telemetry
import Testing

@Suite("Throttled log lines")
struct LogThrottleTests {
    @Test("One line a second is written, and says how many were left out before it")
    func oneASecond() {
        var throttle = LogThrottle()
        let second: UInt64 = 1_000_000_000
        #expect(throttle.admit(at: 5) == 0)
        #expect(throttle.admit(at: 6) == nil)
        #expect(throttle.admit(at: second + 4) == nil)
        #expect(throttle.admit(at: second + 5) == 2)
        #expect(throttle.admit(at: second + 6) == nil)
        #expect(throttle.admit(at: 9 * second) == 1)
        #expect(throttle.admit(at: 20 * second) == 0)
    }
}
