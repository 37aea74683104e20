/// Says when one endpoint may be sent to, so that one that is slow, broken or overrun costs little, is left alone, and comes back
/// by itself. One per endpoint and process; it has no clock. All instants are nanoseconds of one monotonic clock.
///
/// It is asked before each attempt and told what came of it:
///
///     switch gate.admit(at: now) {
///     case .send(let ticket): …; gate.finish(ticket, outcome, at: later)
///     case .wait(let until, _): the delivery is looked at again then
///     }
///
/// A result that never comes is waited for no longer than an attempt can take. Results of attempts from before the circuit was
/// last open say nothing about the endpoint as it is now, and change nothing.
public struct EndpointGate: Sendable {
    /// What an endpoint is spared, for each process that delivers.
    public struct Limits: Sendable, Hashable {
        /// Attempts under way at once, at most; at least 1.
        public var inFlight = 20
        /// Attempts begun per second over time, at most; from 1 to a million.
        public var perSecond = 1000
        /// Attempts begun at once after a rest, at most, from 1; never more than a second's worth.
        public var burst = 100
        /// After how many failures in a row the circuit opens; at least 1.
        public var failuresToOpen = 5
        /// The first pause of an open circuit, at least 1 ms. Each is twice as long as the one before; each success after a probe
        /// takes one doubling back.
        public var firstPause = Duration.seconds(1)
        /// The longest of those pauses; the receiver itself can ask for a longer one.
        public var longestPause = Duration.seconds(10 * 60)
        /// When the result of an attempt counts as lost. Longer than an attempt may take: for as long as its deadline it may wait
        /// for its turn, and then for its answer.
        public var longestAttempt = Duration.seconds(90)

        /// The defaults.
        public init() {}
    }

    /// The permission for one attempt, to be handed back with its outcome.
    public struct Ticket: Sendable, Hashable {
        fileprivate let number: UInt64
    }

    /// What a delivery does now.
    public enum Admission: Sendable, Hashable {
        /// It is sent.
        case send(Ticket)
        /// It waits at least until that instant, or, where as many as may be are under way, until one of them ends.
        case wait(until: UInt64, Hold)
    }

    /// Why a delivery waits.
    public enum Hold: Sendable, Hashable {
        /// The circuit is open: the endpoint is parked.
        case circuitOpen
        /// The one attempt that shows whether the endpoint is back is under way.
        case probing
        /// As many attempts as may be are under way.
        case inFlight
        /// As many attempts per second as may be were begun.
        case rate
    }

    /// How the circuit stands, for a metric. The names are labels.
    public enum Condition: String, Sendable, CaseIterable {
        case closed
        case slowStart = "slow_start"
        case open
        case halfOpen = "half_open"
    }

    private enum Circuit {
        /// Attempts are made, `limit` of them at once. `failures` of them have failed in a row.
        ///
        /// Each that the endpoint answers raises the limit by one up to the cap: after a probe that is the slow start. The
        /// failure that makes them `failuresToOpen`, and any whose receiver asks for a pause, → `open`.
        case closed(limit: Int, failures: Int)
        /// No attempt is made until that instant. The first attempt that is asked for after it → `halfOpen`; a receiver that
        /// asks for a longer pause, in a late result, gets it.
        case open(until: UInt64)
        /// One attempt is made: that of the ticket with this number. It succeeds → `closed` with a limit of one; it fails →
        /// `open`, for longer; its result is lost → `halfOpen` with the next ticket.
        case halfOpen(probe: UInt64)
    }

    private struct Attempt {
        let number: UInt64
        /// When its result counts as lost.
        let lostAt: UInt64
    }

    /// What the endpoint is spared. Others count from the next question on; a higher cap is reached as in a slow start.
    public var limits: Limits

    private var circuit: Circuit
    private var pace = DeliveryPace()
    private var underWay: [Attempt] = []
    private var nextNumber: UInt64 = 0
    /// The first attempt since the circuit was last open.
    private var firstSinceOpen: UInt64 = 0
    /// How often the circuit opened, less one for each success since but the probes'; tells the next pause.
    private var openings = 0

    /// The gate of an endpoint of which nothing is known.
    public init(_ limits: Limits) {
        self.limits = limits
        circuit = .closed(limit: max(1, limits.inFlight), failures: 0)
    }

    /// Asks for one attempt.
    public mutating func admit(at now: UInt64) -> Admission {
        forgetLost(at: now)
        let cap = max(1, limits.inFlight)
        switch circuit {
        case .open(let until) where now < until: return .wait(until: until, .circuitOpen)
        case .halfOpen(let probe):
            if let attempt = underWay.first(where: { $0.number == probe }) {
                return .wait(until: attempt.lostAt, .probing)
            }
        case .closed(let limit, _):
            // What is left from before the pause counts for the cap, and not for the slow start.
            let recent = underWay.lazy.filter { [firstSinceOpen] in $0.number >= firstSinceOpen }
            if recent.count >= limit, let first = recent.first { return .wait(until: first.lostAt, .inFlight) }
        case .open: break
        }
        if underWay.count >= cap { return .wait(until: underWay[0].lostAt, .inFlight) }
        let burst = min(limits.burst, limits.perSecond)
        if let until = pace.take(perSecond: limits.perSecond, burst: burst, at: now) {
            return .wait(until: until, .rate)
        }
        return .send(begin(at: now))
    }

    /// Takes what came of an attempt. Told twice, or after the result counted as lost, it changes nothing.
    public mutating func finish(_ ticket: Ticket, _ outcome: DeliveryOutcome, at now: UInt64) {
        forgetLost(at: now)
        guard let index = underWay.firstIndex(where: { $0.number == ticket.number }) else { return }
        underWay.remove(at: index)
        switch circuit {
        case .open(let until):
            guard let pause = outcome.requestedPause else { return }
            circuit = .open(until: max(until, now.advanced(by: pause)))
        case .halfOpen(let probe):
            guard ticket.number == probe else { return }
            if outcome.isEndpointFailure {
                open(at: now, asked: outcome.requestedPause)
            } else {
                circuit = .closed(limit: 1, failures: 0)
            }
        case .closed(let limit, let failures):
            guard ticket.number >= firstSinceOpen else { return }
            if !outcome.isEndpointFailure {
                openings = max(0, openings - 1)
                circuit = .closed(limit: min(limit + 1, max(1, limits.inFlight)), failures: 0)
            } else if outcome.requestedPause != nil || failures + 1 >= limits.failuresToOpen {
                open(at: now, asked: outcome.requestedPause)
            } else {
                circuit = .closed(limit: limit, failures: failures + 1)
            }
        }
    }

    /// Gives back the permission for an attempt that was not made.
    public mutating func withdraw(_ ticket: Ticket) { underWay.removeAll { $0.number == ticket.number } }

    /// Until when the endpoint is parked, so that its deliveries need not be looked at before; nil when it is not.
    public func parked(at now: UInt64) -> UInt64? {
        guard case .open(let until) = circuit, now < until else { return nil }
        return until
    }

    /// How the circuit stands.
    public var condition: Condition {
        switch circuit {
        case .closed(let limit, _): limit < limits.inFlight ? .slowStart : .closed
        case .open: .open
        case .halfOpen: .halfOpen
        }
    }

    private mutating func begin(at now: UInt64) -> Ticket {
        let ticket = Ticket(number: nextNumber)
        nextNumber += 1
        underWay.append(Attempt(number: ticket.number, lostAt: now.advanced(by: limits.longestAttempt)))
        switch circuit {
        case .closed: break
        case .open, .halfOpen:
            circuit = .halfOpen(probe: ticket.number)
            firstSinceOpen = ticket.number
        }
        return ticket
    }

    private mutating func open(at now: UInt64, asked: Duration?) {
        var pause = max(limits.firstPause, .milliseconds(1))
        // Doubling stops at the longest, so that no number of openings overflows.
        for _ in 0..<openings where pause < limits.longestPause { pause = min(pause * 2, limits.longestPause) }
        // No more than it takes to wait the longest, or a long outage would be remembered for long after its end.
        if pause < limits.longestPause { openings += 1 }
        circuit = .open(until: now.advanced(by: max(pause, asked ?? .zero)))
    }

    private mutating func forgetLost(at now: UInt64) {
        // Nearly always nothing, and then nothing is moved.
        if underWay.contains(where: { $0.lostAt <= now }) { underWay.removeAll { $0.lostAt <= now } }
    }
}

extension UInt64 {
    /// An instant so much later, in nanoseconds; the last there is where there is none.
    fileprivate func advanced(by duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = Swift.max(.zero, duration).components
        let (whole, isOver) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, isSumOver) = addingReportingOverflow(whole)
        let (instant, isInstantOver) = sum.addingReportingOverflow(UInt64(attoseconds) / 1_000_000_000)
        return isOver || isSumOver || isInstantOver ? .max : instant
    }
}
