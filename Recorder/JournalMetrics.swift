internal import Ledger
internal import Loop
internal import Telemetry

/// What the ledger's process counts.
@OnLoop
struct JournalMetrics {
    let writable = Metrics.gauge("drawbridge_ledger_writable", "1 while records can be written.")
    private let records = Metrics.counter("drawbridge_ledger_records_total", "Records of workers that were written.")
    private let bytes = Metrics.counter("drawbridge_ledger_bytes_total", "Bytes of those records.")
    private let commits = Metrics.histogram(
        "drawbridge_ledger_commit_duration_seconds", "Giving records to the kernel together.")
    private let syncs = Metrics.histogram(
        "drawbridge_ledger_sync_duration_seconds", "Waiting until what was written is on the disk.")
    private let size = Metrics.gauge("drawbridge_ledger_size_records", "Records in the ledger since it was begun.")
    private let checkpointSize = Metrics.gauge(
        "drawbridge_ledger_checkpoint_size_records", "Records that the last signed checkpoint covers.")
    private let refusals: [RefusalReason: Counter]

    init() {
        var refusals: [RefusalReason: Counter] = [:]
        for reason in RefusalReason.allCases {
            refusals[reason] = Metrics.counter(
                "drawbridge_ledger_refused_total", "Records that were refused.", [("reason", reason.description)])
        }
        self.refusals = refusals
    }

    /// - Parameter read: asked when metrics are collected.
    func showWaiting(_ read: @escaping @OnLoop () -> Double) {
        Metrics.gauge(
            "drawbridge_ledger_waiting_records", "Records that wait to be written, or for the disk.", [], read)
    }

    func appended(records count: Int, bytes byteCount: Int) {
        records.increment(by: UInt64(count))
        bytes.increment(by: UInt64(byteCount))
    }

    func committed(nanoseconds: UInt64) { commits.record(nanoseconds: nanoseconds) }

    func synced(nanoseconds: UInt64) { syncs.record(nanoseconds: nanoseconds) }

    func refused(_ reason: RefusalReason) { refusals[reason]?.increment() }

    func show(_ state: OpenLedger.State) {
        size.value = Double(state.size)
        checkpointSize.value = Double(state.checkpointSize)
    }
}
