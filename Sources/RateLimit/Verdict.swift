/// What one limit says of one request.
public struct LimitState: Sendable, Equatable {
    /// The name of the limit's class.
    public let name: String
    /// The class's quota.
    public let quota: Quota
    /// Nanoseconds until everything used is given back, as it stands after the request.
    public let backlog: UInt64
    /// Whether this limit refuses the request.
    public let isExceeded: Bool

    /// - Parameters:
    ///   - before: the backlog before the request, in nanoseconds.
    ///   - isCharged: whether the request as a whole was allowed, and so used up one.
    init(_ limitClass: LimitClass, before: UInt64, isCharged: Bool) {
        name = limitClass.name
        quota = limitClass.quota
        isExceeded = before + quota.interval > quota.window
        backlog = min(before + (isCharged ? quota.interval : 0), quota.window)
    }

    /// Requests that would be allowed now.
    public var remaining: Int { Int((quota.window - backlog) / quota.interval) }

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
    public var tightest: LimitState? {
        states.min { left, right in
            if left.isExceeded != right.isExceeded { return left.isExceeded }
            if !left.isExceeded, left.remaining != right.remaining { return left.remaining < right.remaining }
            return left.untilNext > right.untilNext
        }
    }

    /// The names of the limits that refuse, for the member `violated-policies` of the problem `quota-exceeded`.
    public var violatedPolicies: [String] { states.filter(\.isExceeded).map(\.name) }

    /// Builds the verdict from the backlogs before the request.
    static func make(_ charges: [Charge], backlogs: [UInt64]) -> Verdict {
        var isAllowed = true
        for (charge, backlog) in zip(charges, backlogs) {
            let quota = charge.limitClass.quota
            if backlog + quota.interval > quota.window { isAllowed = false }
        }
        return Verdict(
            states: zip(charges, backlogs).map {
                LimitState($0.limitClass, before: $1, isCharged: isAllowed)
            })
    }
}

/// The fields of draft-ietf-httpapi-ratelimit-headers-11.
extension Verdict {
    /// The type of the problem that goes with a 429.
    public static let problemType = "https://iana.org/assignments/http-problem-types#quota-exceeded"

    /// The value of `RateLimit-Policy`: every limit that applied; nil when none did.
    public var policyField: String? {
        guard !states.isEmpty else { return nil }
        return states.map { "\"\($0.name)\";q=\($0.quota.burst);w=\(Self.seconds($0.quota.window))" }
            .joined(separator: ", ")
    }

    /// The value of `RateLimit`: the tightest limit, and after how many seconds it allows more than it does now.
    public var limitField: String? {
        guard let tightest else { return nil }
        let field = "\"\(tightest.name)\";r=\(tightest.remaining)"
        return tightest.untilNext > 0 ? field + ";t=\(Self.seconds(tightest.untilNext))" : field
    }

    /// The value of `Retry-After` with a 429, in seconds; never less than the field's `t`. Nil when nothing is exceeded.
    public var retryAfter: Int? {
        guard let tightest, tightest.isExceeded else { return nil }
        return max(1, Self.seconds(tightest.untilNext))
    }

    /// Whole seconds, rounded up: who waits that long does not come too early.
    private static func seconds(_ nanoseconds: UInt64) -> Int {
        Int((nanoseconds + 999_999_999) / 1_000_000_000)
    }
}
