internal import Loop
internal import Telemetry

/// A pool's figures, all with the label `database`.
@OnLoop
struct DatabaseMetrics {
    let opened: Counter
    let failures: Counter
    let lost: Counter
    let refused: Counter
    let cancellations: Counter
    let duration: Histogram
    private let labels: Metrics.Labels

    init(_ database: String) {
        let labels: Metrics.Labels = [("database", database)]
        self.labels = labels
        opened = Metrics.counter(
            "drawbridge_postgres_connections_opened_total", "Connections opened.", labels)
        failures = Metrics.counter(
            "drawbridge_postgres_connection_failures_total", "Connections that could not be opened.", labels)
        lost = Metrics.counter("drawbridge_postgres_connections_lost_total", "Connections that broke.", labels)
        refused = Metrics.counter(
            "drawbridge_postgres_refused_total", "Calls refused because too many waited for a connection.", labels)
        cancellations = Metrics.counter(
            "drawbridge_postgres_cancellations_total", "Statements cancelled on the server.", labels)
        duration = Metrics.histogram(
            "drawbridge_postgres_call_duration_seconds", "Time from a call to its answer, waiting included.", labels)
    }

    func watch(_ database: Database) {
        let name = "drawbridge_postgres_connections" as StaticString
        let help = "Open connections, by what they do." as StaticString
        Metrics.gauge(name, help, labels + [("state", "idle")]) { [weak database] in Double(database?.idleCount ?? 0) }
        Metrics.gauge(name, help, labels + [("state", "busy")]) { [weak database] in Double(database?.busyCount ?? 0) }
        Metrics.gauge(name, help, labels + [("state", "leased")]) { [weak database] in
            Double(database?.leasedCount ?? 0)
        }
        Metrics.gauge("drawbridge_postgres_waiters", "Calls that wait for a connection.", labels) { [weak database] in
            Double(database?.waiterCount ?? 0)
        }
    }
}
