/// What one limit says of one request.
public struct LimitState: Sendable, Equatable {
    let limitClass: LimitClass
    /// Nanoseconds until everything used is given back, as it stands after the request.
    public let backlog: UInt64
    /// Whether this limit refuses the request.
    public let isExceeded: Bool

    /// - Parameters:
    ///   - before: the backlog before the request, in nanoseconds.
    ///   - isCharged: whether the request as a whole was allowed, and so used up one.
    init(_ limitClass: LimitClass, before: UInt64, isCharged: Bool) {
        self.limitClass = limitClass
        let quota = limitClass.quota
        isExceeded = before + quota.interval > quota.window
        backlog = min(before + (isCharged ? quota.interval : 0), quota.window)
    }

    /// The name of the limit's class.
    public var name: String { limitClass.name }

    /// The class's quota.
    public var quota: Quota { limitClass.quota }

    /// Requests that would be allowed now.
    public var remaining: Int { Int((quota.window - backlog) / quota.interval) }

    /// Whether this one answers rather than the other.
    func isTighter(than other: LimitState) -> Bool {
        if isExceeded != other.isExceeded { return isExceeded }
        if !isExceeded, remaining != other.remaining { return remaining < other.remaining }
        return untilNext > other.untilNext
    }

    /// Nanoseconds until one more than `remaining` would be allowed; 0 when all are.
    public var untilNext: UInt64 {
        guard backlog > 0 else { return 0 }
        return backlog - (quota.window - UInt64(remaining + 1) * quota.interval)
    }
}

/// What the limits say of one request together.
public struct Verdict: Sendable, Equatable {
    /// Each limit that applied, in the order of the classes.
    public let states: [LimitState]

    /// Whether every limit allows the request.
    public var isAllowed: Bool { states.allSatisfy { !$0.isExceeded } }

    /// The limit that answers: of those exceeded the one that lasts longest, otherwise the one with the fewest requests
    /// left; nil when no limit applied.
    public var tightest: LimitState? { states.min { $0.isTighter(than: $1) } }

    /// The names of the limits that refuse, for the member `violated-policies` of the problem `quota-exceeded`.
    public var violatedPolicies: [String] { states.filter(\.isExceeded).map(\.name) }

    /// Builds the verdict from the backlogs before the request.
    static func make(_ charges: [Charge], backlogs: [UInt64]) -> Verdict { make(charges, backlogs: backlogs.span) }

    /// Builds the verdict from the backlogs before the request.
    static func make(_ charges: [Charge], backlogs: Span<UInt64>) -> Verdict {
        var isAllowed = true
        for index in charges.indices {
            let quota = charges[index].limitClass.quota
            if backlogs[index] + quota.interval > quota.window { isAllowed = false }
        }
        var states: [LimitState] = []
        states.reserveCapacity(charges.count)
        for index in charges.indices {
            states.append(
                LimitState(charges[index].limitClass, before: backlogs[index], isCharged: isAllowed))
        }
        return Verdict(states: states)
    }
}

extension Verdict {
    /// What this verdict and another one, of other classes, say together.
    public func joined(with other: Verdict) -> Verdict { Verdict(states: states + other.states) }

    /// What this verdict and another store's say together: of a class that both know, the tighter state.
    public func merged(with other: Verdict) -> Verdict {
        var rest = other.states
        let common = states.map { state in
            guard let index = rest.firstIndex(where: { $0.name == state.name }) else { return state }
            let other = rest.remove(at: index)
            return other.isTighter(than: state) ? other : state
        }
        return Verdict(states: common + rest)
    }
}

/// The fields of draft-ietf-httpapi-ratelimit-headers-11.
extension Verdict {
    /// The type of the problem that goes with a 429.
    public static let problemType = "https://iana.org/assignments/http-problem-types#quota-exceeded"

    /// Appends the lines of `RateLimit-Policy`, every limit that applied, and `RateLimit`, the tightest and after how
    /// many seconds it allows more than it does now. Nothing where no limit applied.
    public func appendFieldLines(to bytes: inout [UInt8]) {
        guard let tightest else { return }
        bytes += Self.policyName
        appendPolicy(to: &bytes)
        bytes += Self.limitName
        Self.append(tightest, to: &bytes)
        bytes += Self.lineEnd
    }

    /// The values of the same two fields; nil where no limit applied.
    public var fieldValues: (policy: String, limit: String)? {
        guard let tightest else { return nil }
        var (policy, limit): ([UInt8], [UInt8]) = ([], [])
        appendPolicy(to: &policy)
        Self.append(tightest, to: &limit)
        return (String(decoding: policy, as: UTF8.self), String(decoding: limit, as: UTF8.self))
    }

    private func appendPolicy(to bytes: inout [UInt8]) {
        for index in states.indices {
            if index > 0 { bytes += Self.separator }
            bytes += states[index].limitClass.policyItem
        }
    }

    private static func append(_ tightest: LimitState, to bytes: inout [UInt8]) {
        bytes += tightest.limitClass.limitItem
        append(tightest.remaining, to: &bytes)
        guard tightest.untilNext > 0 else { return }
        bytes += timeName
        append(seconds(tightest.untilNext), to: &bytes)
    }

    private static let policyName = Array("RateLimit-Policy: ".utf8)
    private static let limitName = Array("\r\nRateLimit: ".utf8)
    private static let separator = Array(", ".utf8)
    private static let timeName = Array(";t=".utf8)
    private static let lineEnd = Array("\r\n".utf8)

    private static func append(_ value: Int, to bytes: inout [UInt8]) {
        var divisor = 1
        while value / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            bytes.append(48 + UInt8(value / divisor % 10))
            divisor /= 10
        }
    }

    /// The value of `Retry-After` with a 429, in seconds; never less than the field's `t`. Nil when nothing is
    /// exceeded.
    public var retryAfter: Int? {
        guard let tightest, tightest.isExceeded else { return nil }
        return max(1, Self.seconds(tightest.untilNext))
    }

    /// Whole seconds, rounded up: who waits that long does not come too early.
    static func seconds(_ nanoseconds: UInt64) -> Int {
        Int((nanoseconds + 999_999_999) / 1_000_000_000)
    }
}
