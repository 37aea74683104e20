internal import Loop
internal import Telemetry

/// What the firewall counts and times.
@OnLoop
struct FirewallMetrics {
    let hits = Metrics.counter(
        "drawbridge_firewall_cache_hits_total", "Requests whose verdict was remembered.")
    let misses = Metrics.counter(
        "drawbridge_firewall_cache_misses_total",
        "Requests with little content or none whose verdict was not remembered.")
    let durations = Metrics.histogram(
        "drawbridge_firewall_inspection_duration_seconds", "Time an inspection took, without its wait for a thread.")
    let incomplete = Metrics.counter(
        "drawbridge_firewall_incomplete_total", "Inspections that would have cost too much, and were ended.")

    private let allowed = Self.verdicts("allowed")
    private let detected = Self.verdicts("detected")
    private let refused = Self.verdicts("refused")
    private let overloads = Self.failures("overloaded")
    private let failures = Self.failures("failed")

    /// Reads `state` whenever metrics are asked for.
    func watch(_ state: @escaping @OnLoop () -> (entries: Int, waiting: Int)) {
        Metrics.gauge("drawbridge_firewall_cache_entries", "Remembered verdicts.") { Double(state().entries) }
        Metrics.gauge("drawbridge_firewall_waiting", "Inspections that wait for a thread.") {
            Double(state().waiting)
        }
    }

    func concluded(_ decision: FirewallVerdict.Decision) {
        switch decision {
        case .allowed: allowed.increment()
        case .detected: detected.increment()
        case .refused: refused.increment()
        }
    }

    func failed(_ error: FirewallError) {
        (error.code == .overloaded ? overloads : failures).increment()
    }

    private static func verdicts(_ verdict: String) -> Counter {
        Metrics.counter("drawbridge_firewall_verdicts_total", "Verdicts on requests.", [("verdict", verdict)])
    }

    private static func failures(_ cause: String) -> Counter {
        Metrics.counter("drawbridge_firewall_failures_total", "Requests without a verdict.", [("cause", cause)])
    }
}
