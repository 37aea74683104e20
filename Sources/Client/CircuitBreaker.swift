internal import Loop

/// When an upstream is left alone: after several failures in a row nothing is sent for a while, then one request tries
/// it, and when that succeeds the load comes back step by step (Nygard, "Release It!", 2018; slow start as in HAProxy).
///
/// Pure: time comes in, decisions come out.
struct CircuitBreaker: Sendable {
    /// Bounds and times.
    struct Configuration: Sendable {
        /// Failures in a row after which it opens.
        var failureThreshold = 5
        /// How long it stays open the first time; twice as long each time a try fails, up to `maximumPause`.
        var pause: Duration = .milliseconds(200)
        var maximumPause: Duration = .seconds(10)
        /// In what time the full load comes back.
        var slowStart: Duration = .seconds(5)
        /// What part of the load is let through at once.
        var firstShare = 0.1
    }

    /// What a request may do.
    enum Admission: Sendable, Equatable {
        /// It may be sent.
        case admitted
        /// It may be sent, and decides whether others may be: `succeeded` or `failed` must follow.
        case probe
        /// It must be refused.
        case refused
    }

    /// Legal: closed → open → halfOpen → closed or open.
    private enum State: Sendable {
        /// So many requests in a row have failed.
        case closed(failures: Int)
        /// Nothing is sent until then.
        case open(until: UInt64)
        /// One request is trying.
        case halfOpen
    }

    private let configuration: Configuration
    private var state = State.closed(failures: 0)
    private var pause: UInt64
    /// When it closed last, after having been open.
    private var closedAt: UInt64?

    init(_ configuration: Configuration = Configuration()) {
        self.configuration = configuration
        pause = configuration.pause.nanoseconds
    }

    /// Whether nothing but a probe is sent.
    var isOpen: Bool { if case .closed = state { false } else { true } }

    /// Whether everything is as it should be, so that a success needs no mention and all connections may be open.
    var isSettled: Bool { if case .closed(0) = state { closedAt == nil } else { false } }

    /// Asks for one request.
    ///
    /// - Parameter now: nanoseconds of a clock that never goes back; the same in all calls.
    mutating func admit(at now: UInt64) -> Admission {
        switch state {
        case .closed: return .admitted
        case .halfOpen: return .refused
        case .open(let until):
            guard now >= until else { return .refused }
            state = .halfOpen
            return .probe
        }
    }

    /// A request was answered, or a health check went well.
    mutating func succeeded(at now: UInt64) {
        if isOpen { closedAt = now }
        state = .closed(failures: 0)
        pause = configuration.pause.nanoseconds
    }

    /// A request got no answer: no connection, one that broke, or too late.
    mutating func failed(at now: UInt64) {
        switch state {
        case .closed(let failures) where failures + 1 < configuration.failureThreshold:
            state = .closed(failures: failures + 1)
        case .closed: state = .open(until: now + pause)
        case .halfOpen:
            pause = min(2 * pause, configuration.maximumPause.nanoseconds)
            state = .open(until: now + pause)
        // One that had been sent before.
        case .open: break
        }
    }

    /// The probe ended without telling anything, because its client went away; the next request tries again.
    mutating func forgotten(at now: UInt64) {
        if case .halfOpen = state { state = .open(until: now) }
    }

    /// How many connections of so many may be open: all of them once the slow start is over.
    mutating func share(of maximum: Int, at now: UInt64) -> Int {
        guard let closedAt else { return maximum }
        let elapsed = now &- closedAt
        let slowStart = configuration.slowStart.nanoseconds
        guard elapsed < slowStart else {
            self.closedAt = nil
            return maximum
        }
        let part = max(configuration.firstShare, Double(elapsed) / Double(slowStart))
        return max(1, Int(Double(maximum) * part))
    }
}
