import TestSupport
import Testing

@testable import Webhook

@Suite struct EndpointGateTests {
    private static let failure = DeliveryOutcome.answered(status: 500, retryAfter: nil)
    private static let success = DeliveryOutcome.answered(status: 204, retryAfter: nil)

    /// Five at once, opens after three failures, pauses of 1 to 8 seconds, and a rate that does not matter.
    private static let limits = {
        var limits = EndpointGate.Limits()
        limits.inFlight = 5
        limits.perSecond = 1_000_000
        limits.burst = 1_000_000
        limits.failuresToOpen = 3
        limits.longestPause = .seconds(8)
        limits.longestAttempt = .seconds(60)
        return limits
    }()

    /// A gate and its clock.
    private struct Endpoint {
        var gate = EndpointGate(limits)
        var seconds = 1000.0

        var now: UInt64 { UInt64(seconds * 1e9) }

        mutating func send() throws -> EndpointGate.Ticket {
            guard case .send(let ticket) = gate.admit(at: now) else { throw Waits() }
            return ticket
        }

        mutating func hold() -> EndpointGate.Hold? {
            guard case .wait(_, let hold) = gate.admit(at: now) else { return nil }
            return hold
        }

        /// Seconds until it may be asked again.
        mutating func wait() -> Double? {
            guard case .wait(let until, _) = gate.admit(at: now) else { return nil }
            return Double(until - now) / 1e9
        }

        mutating func finish(_ ticket: EndpointGate.Ticket, _ outcome: DeliveryOutcome) {
            gate.finish(ticket, outcome, at: now)
        }

        /// Sends one and answers it.
        mutating func exchange(_ outcome: DeliveryOutcome) throws { finish(try send(), outcome) }

        /// Fails until the circuit is open.
        mutating func breakDown() throws { for _ in 0..<3 { try exchange(failure) } }

        struct Waits: Error {}
    }

    // MARK: In flight

    @Test("As many as the cap are sent at once, and the next when one of them ends") func cap() throws {
        var endpoint = Endpoint()
        let tickets = try (0..<5).map { _ in try endpoint.send() }
        #expect(endpoint.hold() == .inFlight)
        endpoint.finish(tickets[3], Self.success)
        _ = try endpoint.send()
        #expect(endpoint.hold() == .inFlight)
    }

    @Test("A result that is told twice, or too late, frees no place twice") func twice() throws {
        var endpoint = Endpoint()
        let tickets = try (0..<5).map { _ in try endpoint.send() }
        endpoint.finish(tickets[0], Self.success)
        endpoint.finish(tickets[0], Self.success)
        _ = try endpoint.send()
        #expect(endpoint.hold() == .inFlight)
    }

    @Test("A place whose result never comes is free again when no attempt takes that long") func lost() throws {
        var endpoint = Endpoint()
        let tickets = try (0..<5).map { _ in try endpoint.send() }
        #expect(endpoint.wait() == 60)
        endpoint.seconds += 59
        #expect(endpoint.hold() == .inFlight)
        endpoint.seconds += 1
        _ = try (0..<5).map { _ in try endpoint.send() }
        for ticket in tickets { endpoint.finish(ticket, Self.success) }
        #expect(endpoint.hold() == .inFlight)
    }

    @Test("A lower cap counts from the next question on, a higher one is reached with each answer") func reload() throws
    {
        var endpoint = Endpoint()
        var tickets = try (0..<4).map { _ in try endpoint.send() }
        endpoint.gate.limits.inFlight = 3
        #expect(endpoint.hold() == .inFlight)
        endpoint.gate.limits.inFlight = 7
        endpoint.finish(tickets.removeLast(), Self.success)
        tickets += try (0..<3).map { _ in try endpoint.send() }
        #expect(endpoint.hold() == .inFlight)
        endpoint.finish(tickets.removeLast(), Self.success)
        for _ in 0..<2 { _ = try endpoint.send() }
        #expect(endpoint.hold() == .inFlight)
    }

    // MARK: Rate

    @Test("A burst is sent at once, and then one per interval") func rate() throws {
        var endpoint = Endpoint()
        endpoint.gate.limits.perSecond = 10
        endpoint.gate.limits.burst = 3
        for _ in 0..<3 { try endpoint.exchange(Self.success) }
        #expect(endpoint.hold() == .rate && endpoint.wait() == 0.1)
        endpoint.seconds += 0.1
        try endpoint.exchange(Self.success)
        #expect(endpoint.hold() == .rate)
    }

    @Test("A rate that is slower than the burst allows no more than a second of it at once") func slowRate() throws {
        var endpoint = Endpoint()
        endpoint.gate.limits.perSecond = 2
        for _ in 0..<2 { try endpoint.exchange(Self.success) }
        #expect(endpoint.hold() == .rate && endpoint.wait() == 0.5)
    }

    @Test(
        "In no span of time are more begun than burst and rate allow, and none is kept waiting for nothing",
        arguments: 0..<40)
    func pace(seed: UInt64) {
        var random = SeededNumbers(seed: seed)
        let (rate, burst) = (Int.random(in: 1...2000, using: &random), Int.random(in: 1...20, using: &random))
        let interval = (1_000_000_000 + UInt64(rate) - 1) / UInt64(rate)
        var (pace, now, taken) = (DeliveryPace(), UInt64.random(in: 0...1 << 62, using: &random), [UInt64]())
        for _ in 0..<1000 {
            now += .random(in: 0...interval * 2, using: &random) / 2
            guard let until = pace.take(perSecond: rate, burst: burst, at: now) else {
                taken.append(now)
                continue
            }
            var copy = pace
            #expect(until > now && copy.take(perSecond: rate, burst: burst, at: until - 1) != nil)
            #expect(copy.take(perSecond: rate, burst: burst, at: until) == nil)
        }
        for (index, first) in taken.enumerated() {
            for last in index..<min(taken.count, index + 60) {
                #expect(UInt64(last - index + 1) <= UInt64(burst) + (taken[last] - first) / interval)
            }
        }
    }

    @Test("No rate, burst or instant overflows", arguments: [Int.min, -1, 0, 1, 1_000_000, .max])
    func extremes(number: Int) {
        for now in [0, 1, UInt64.max / 2, .max - 1, .max] {
            var pace = DeliveryPace()
            for _ in 0..<3 { _ = pace.take(perSecond: number, burst: number, at: now) }
            var endpoint = EndpointGate(Self.limits)
            (endpoint.limits.inFlight, endpoint.limits.failuresToOpen) = (number, number)
            (endpoint.limits.perSecond, endpoint.limits.burst) = (number, number)
            (endpoint.limits.firstPause, endpoint.limits.longestPause) = (.seconds(number), .seconds(Int64.max))
            for _ in 0..<20 {
                guard case .send(let ticket) = endpoint.admit(at: now) else { continue }
                endpoint.finish(ticket, Self.failure, at: now)
            }
        }
    }

    // MARK: The circuit

    @Test("It opens after so many failures in a row, whatever kind, and not before") func opening() throws {
        var endpoint = Endpoint()
        try endpoint.exchange(Self.failure)
        try endpoint.exchange(.failed(.timedOut))
        try endpoint.exchange(Self.success)
        try endpoint.exchange(Self.failure)
        try endpoint.exchange(.failed(.connectFailed))
        #expect(endpoint.gate.condition == .closed && endpoint.gate.parked(at: endpoint.now) == nil)
        try endpoint.exchange(.answered(status: 429, retryAfter: nil))
        #expect(endpoint.gate.condition == .open && endpoint.hold() == .circuitOpen)
        #expect(endpoint.gate.parked(at: endpoint.now) == UInt64(1001e9))
    }

    @Test("An endpoint that refuses events is not broken", arguments: [301, 400, 404, 410, 422])
    func refusals(status: Int) throws {
        var endpoint = Endpoint()
        for _ in 0..<20 { try endpoint.exchange(.answered(status: status, retryAfter: nil)) }
        #expect(endpoint.gate.condition == .closed)
    }

    @Test("After the pause exactly one attempt is made until its result is there") func probe() throws {
        var endpoint = Endpoint()
        try endpoint.breakDown()
        endpoint.seconds += 0.999
        #expect(endpoint.hold() == .circuitOpen)
        endpoint.seconds += 0.001
        #expect(endpoint.gate.parked(at: endpoint.now) == nil)
        let probe = try endpoint.send()
        #expect(endpoint.gate.condition == .halfOpen && endpoint.hold() == .probing && endpoint.wait() == 60)
        endpoint.finish(probe, Self.success)
        _ = try endpoint.send()
    }

    @Test("Pauses double while probes fail, up to the longest") func growing() throws {
        var endpoint = Endpoint()
        try endpoint.breakDown()
        for pause in [1.0, 2, 4, 8, 8, 8] {
            #expect(endpoint.wait() == pause)
            endpoint.seconds += pause
            try endpoint.exchange(.failed(.connectFailed))
        }
    }

    @Test("After a probe the number at once rises by one with each answer, up to the cap") func slowStart() throws {
        var endpoint = Endpoint()
        try endpoint.breakDown()
        endpoint.seconds += 1
        try endpoint.exchange(Self.success)
        for limit in 1...4 {
            #expect(endpoint.gate.condition == .slowStart)
            let tickets = try (0..<limit).map { _ in try endpoint.send() }
            #expect(endpoint.hold() == .inFlight)
            endpoint.finish(tickets[0], Self.success)
            // The others are lost, which says nothing.
            endpoint.seconds += 60
        }
        #expect(endpoint.gate.condition == .closed)
    }

    @Test("One that fails again in its slow start is left alone for longer") func flapping() throws {
        var endpoint = Endpoint()
        for pause in [1.0, 2, 4, 8] {
            try endpoint.breakDown()
            #expect(endpoint.wait() == pause)
            endpoint.seconds += pause
            try endpoint.exchange(Self.success)
        }
    }

    @Test("What has succeeded since shortens the next pause again") func forgiving() throws {
        var endpoint = Endpoint()
        try endpoint.breakDown()
        for pause in [1.0, 2, 4, 8, 8, 8, 8] {
            endpoint.seconds += pause
            try endpoint.exchange(Self.failure)
        }
        endpoint.seconds += 8
        for _ in 0..<5 { try endpoint.exchange(Self.success) }
        try endpoint.breakDown()
        #expect(endpoint.wait() == 1)
    }

    @Test("A probe whose result never comes is followed by another, and its late result changes nothing")
    func lostProbe()
        throws
    {
        var endpoint = Endpoint()
        try endpoint.breakDown()
        endpoint.seconds += 1
        let lost = try endpoint.send()
        endpoint.seconds += 60
        let probe = try endpoint.send()
        #expect(endpoint.hold() == .probing)
        endpoint.finish(lost, Self.success)
        #expect(endpoint.gate.condition == .halfOpen)
        endpoint.finish(probe, Self.success)
        #expect(endpoint.gate.condition == .slowStart)
    }

    @Test("Results of attempts from before the circuit opened neither close it nor open it again") func older() throws {
        var endpoint = Endpoint()
        let (first, second, third) = (try endpoint.send(), try endpoint.send(), try endpoint.send())
        // Two failures come while three are still under way, and a third opens the circuit.
        try endpoint.exchange(Self.failure)
        try endpoint.exchange(Self.failure)
        endpoint.finish(first, Self.failure)
        #expect(endpoint.gate.condition == .open)
        endpoint.finish(second, Self.success)
        #expect(endpoint.gate.condition == .open)
        endpoint.seconds += 1
        let probe = try endpoint.send()
        endpoint.finish(third, Self.failure)
        #expect(endpoint.gate.condition == .halfOpen)
        endpoint.finish(probe, Self.success)
        #expect(endpoint.gate.condition == .slowStart)
    }

    @Test("Nor do they count in the slow start, whatever they ask for") func olderInSlowStart() throws {
        var endpoint = Endpoint()
        let older = try (0..<3).map { _ in try endpoint.send() }
        try endpoint.exchange(.answered(status: 503, retryAfter: .zero))
        endpoint.seconds += 1
        try endpoint.exchange(Self.success)
        endpoint.finish(older[0], .answered(status: 503, retryAfter: .seconds(60)))
        endpoint.finish(older[1], Self.success)
        #expect(endpoint.gate.condition == .slowStart)
        _ = try endpoint.send()
        #expect(endpoint.hold() == .inFlight)
    }

    @Test("Attempts that hang from before count for the cap, and do not hold up the slow start") func hanging() throws {
        var endpoint = Endpoint()
        endpoint.gate.limits.failuresToOpen = 1
        for _ in 0..<4 { _ = try endpoint.send() }
        try endpoint.exchange(.failed(.timedOut))
        endpoint.seconds += 1
        try endpoint.exchange(Self.success)
        try endpoint.exchange(Self.success)
        _ = try endpoint.send()
        #expect(endpoint.hold() == .inFlight)
    }

    // MARK: Retry-After

    @Test("One 429 or 503 that asks for a pause gets it at once", arguments: [429, 503]) func asked(status: Int) throws
    {
        var endpoint = Endpoint()
        try endpoint.exchange(.answered(status: status, retryAfter: .seconds(120)))
        #expect(endpoint.wait() == 120 && endpoint.hold() == .circuitOpen)
        endpoint.seconds += 120
        try endpoint.exchange(.answered(status: status, retryAfter: .zero))
        // One that asks for none, and takes nothing, is not asked without end.
        #expect(endpoint.wait() == 2)
    }

    @Test("Nothing else can ask for a pause", arguments: [200, 301, 404, 500]) func notAsked(status: Int) throws {
        var endpoint = Endpoint()
        try endpoint.exchange(.answered(status: status, retryAfter: .seconds(120)))
        #expect(endpoint.gate.condition == .closed)
    }

    @Test("Of several that ask, the longest pause counts") func longestAsked() throws {
        var endpoint = Endpoint()
        let tickets = try (0..<4).map { _ in try endpoint.send() }
        for (ticket, seconds) in zip(tickets, [10, 30, 20]) {
            endpoint.finish(ticket, .answered(status: 503, retryAfter: .seconds(seconds)))
        }
        endpoint.finish(tickets[3], Self.failure)
        #expect(endpoint.wait() == 30)
    }
}
