import TestSupport
import Testing

@testable import Webhook

/// The gate against random receivers that answer, hang, fail, ask for pauses and lose results, in any order.
@Suite struct EndpointGatePropertyTests {
    private struct Attempt {
        let ticket: EndpointGate.Ticket
        let lostAt: UInt64
    }

    private struct Run {
        var random: SeededNumbers
        var gate: EndpointGate
        var now: UInt64
        var underWay: [Attempt] = []
        /// Attempts since the circuit was last seen open, whose results neither came nor were lost.
        var probes: [Attempt] = []

        init(seed: UInt64) {
            random = SeededNumbers(seed: seed)
            var limits = EndpointGate.Limits()
            limits.inFlight = .random(in: 1...8, using: &random)
            limits.perSecond = .random(in: 1...5000, using: &random)
            limits.burst = .random(in: 1...20, using: &random)
            limits.failuresToOpen = .random(in: 1...6, using: &random)
            limits.firstPause = .milliseconds(.random(in: 1...2000, using: &random))
            limits.longestPause = .milliseconds(.random(in: 2000...60_000, using: &random))
            limits.longestAttempt = .milliseconds(.random(in: 1...90_000, using: &random))
            gate = EndpointGate(limits)
            now = .random(in: 0...1 << 60, using: &random)
        }

        var lifetime: UInt64 { UInt64(gate.limits.longestAttempt / .nanoseconds(1)) }

        mutating func forgetLost() {
            underWay.removeAll { $0.lostAt <= now }
            probes.removeAll { $0.lostAt <= now }
        }

        /// Asks once, and checks what has to hold of any answer.
        mutating func ask() -> Bool {
            forgetLost()
            let before = gate.condition
            switch gate.admit(at: now) {
            case .send(let ticket):
                let attempt = Attempt(ticket: ticket, lostAt: now + lifetime)
                underWay.append(attempt)
                #expect(underWay.count <= gate.limits.inFlight)
                if before == .open || before == .halfOpen {
                    probes.append(attempt)
                    #expect(probes.count == 1 && gate.condition == .halfOpen)
                }
                return true
            case .wait(let until, let hold):
                #expect(until > now)
                #expect((hold == .circuitOpen) == (gate.parked(at: now) != nil))
                if hold == .circuitOpen { #expect(gate.parked(at: now) == until) }
                return false
            }
        }

        mutating func finish(_ outcome: DeliveryOutcome) {
            forgetLost()
            guard let index = underWay.indices.randomElement(using: &random) else { return }
            let attempt = underWay.remove(at: index)
            probes.removeAll { $0.ticket == attempt.ticket }
            gate.finish(attempt.ticket, outcome, at: now)
            if gate.condition == .open { probes = [] }
        }

        mutating func outcome() -> DeliveryOutcome {
            switch Int.random(in: 0..<6, using: &random) {
            case 0: .answered(status: 200, retryAfter: nil)
            case 1: .answered(status: 404, retryAfter: nil)
            case 2: .answered(status: 503, retryAfter: .milliseconds(.random(in: 0...100_000, using: &random)))
            case 3: .failed(DeliveryOutcome.TransportFailure.allCases.randomElement(using: &random)!)
            default: .answered(status: .random(in: 100...599, using: &random), retryAfter: nil)
            }
        }

        mutating func live(steps: Int) {
            for _ in 0..<steps {
                switch Int.random(in: 0..<10, using: &random) {
                case 0..<4: _ = ask()
                case 4..<7: finish(outcome())
                case 7: if let until = gate.parked(at: now) { now = until }
                default: now += .random(in: 0...2_000_000_000, using: &random)
                }
            }
        }
    }

    @Test("Never are more under way than the cap, and never more than one while it is half open", arguments: 0..<200)
    func bounds(seed: UInt64) {
        var run = Run(seed: seed)
        run.live(steps: 2000)
    }

    @Test("Whatever was before, an endpoint that answers again is soon sent to with all there is", arguments: 0..<200)
    func recovery(seed: UInt64) {
        var run = Run(seed: seed)
        run.live(steps: .random(in: 0...500, using: &run.random))
        // Everything that is under way, a probe too, never comes back.
        run.underWay = []
        run.probes = []
        // No pause, lost result or rate makes it wait longer than this.
        let end = run.now + 100_000_000_000 + run.lifetime + UInt64(60 + run.gate.limits.inFlight) * 1_000_000_000
        while run.gate.condition != .closed, run.now < end {
            switch run.gate.admit(at: run.now) {
            case .send(let ticket): run.gate.finish(ticket, .answered(status: 200, retryAfter: nil), at: run.now)
            case .wait(let until, _): run.now = until
            }
        }
        #expect(run.gate.condition == .closed)
        run.now += run.lifetime + 100_000_000_000
        for _ in 0..<min(run.gate.limits.inFlight, run.gate.limits.burst, run.gate.limits.perSecond) {
            let isSent = run.ask()
            #expect(isSent)
        }
    }

    @Test("Who waits until the instant that he is told is not told the same again", arguments: 0..<100)
    func honest(seed: UInt64) {
        var run = Run(seed: seed)
        run.live(steps: .random(in: 0...500, using: &run.random))
        var holds = 0
        while case .wait(let until, _) = run.gate.admit(at: run.now) {
            run.now = until
            holds += 1
            // Parked, then as many under way as may be, then too fast.
            #expect(holds <= 3 + run.gate.limits.inFlight)
        }
    }
}
