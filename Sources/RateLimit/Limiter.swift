public import Loop
internal import Telemetry

/// A process's rate limits: asks Redis where there is one, otherwise the node's table.
@OnLoop
public final class Limiter {
    /// What holds while Redis cannot be asked.
    public enum Fallback: String, Sendable, CaseIterable {
        /// The node's table decides, so each node lets a limit's worth through.
        case local
        /// Everything is let through.
        case allow
        /// Nothing is let through.
        case deny
    }

    /// What is known of a request.
    public enum Outcome: Sendable, Equatable {
        /// A store decided; a refusal is a 429.
        case decided(Verdict)
        /// Redis is away, and the policy lets the request through unlimited.
        case unlimited
        /// Redis is away, and the policy lets nothing through: a 503.
        case unavailable
    }

    private let table: SharedTable
    private let redis: RedisStore?
    private let fallback: Fallback
    private var isFallenBack = false
    private let allowed = Limiter.counter("allowed")
    private let refused = Limiter.counter("refused")
    private let fallen = Metrics.counter(
        "drawbridge_rate_limit_fallbacks_total", "Requests decided without Redis, because it did not answer.")
    private let state = Metrics.gauge(
        "drawbridge_rate_limit_fallback_active", "Whether the last request was decided without Redis.")

    /// - Parameter redis: run by the caller (`RedisStore.run`).
    public init(table: SharedTable, redis: RedisStore? = nil, fallback: Fallback = .local) {
        self.table = table
        self.redis = redis
        self.fallback = fallback
        Metrics.gauge("drawbridge_rate_limit_evictions", "Cells of the node's table that were taken too early.") {
            Double(table.evictions)
        }
    }

    /// Decides on one request under all of `charges`, and charges it to all or to none.
    ///
    /// - Parameter counted: charges that the node's table has made already; Redis makes them for all nodes.
    public func check(_ charges: [Charge], counted: [Charge] = []) async -> Outcome {
        guard let redis else { return count(.decided(table.check(charges))) }
        do {
            let verdict = try await redis.check(counted + charges)
            switched(to: false)
            return count(.decided(verdict))
        } catch {
            switched(to: true, error)
            fallen.increment()
            return switch fallback {
            case .local: count(.decided(table.check(charges)))
            case .allow: count(.unlimited)
            case .deny: count(.unavailable)
            }
        }
    }

    private func switched(to isFallenBack: Bool, _ error: (any Error)? = nil) {
        guard self.isFallenBack != isFallenBack else { return }
        self.isFallenBack = isFallenBack
        state.value = isFallenBack ? 1 : 0
        if let error {
            Log.warning(
                "rate limits are decided without Redis",
                ["fallback": .init(fallback.rawValue), "error": .init(error: error)])
        } else {
            Log.info("rate limits are decided by Redis again")
        }
    }

    private func count(_ outcome: Outcome) -> Outcome {
        let isAllowed =
            switch outcome {
            case .decided(let verdict): verdict.isAllowed
            case .unlimited: true
            case .unavailable: false
            }
        (isAllowed ? allowed : refused).increment()
        return outcome
    }

    private static func counter(_ verdict: String) -> Counter {
        Metrics.counter(
            "drawbridge_rate_limit_requests_total", "Requests on which the rate limits decided.",
            [("verdict", verdict)])
    }
}
