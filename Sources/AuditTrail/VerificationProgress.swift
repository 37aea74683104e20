internal import Glibc
internal import Ledger

/// A line on the terminal that is written over until there is something to say.
struct VerificationProgress {
    private let session: AuditSession
    private var shown: Int64 = 0

    init(session: AuditSession) { self.session = session }

    /// Shows how far it has come, some times a second.
    mutating func show(_ progress: LedgerProgress) {
        guard session.showsProgress else { return }
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let tenths = Int64(time.tv_sec) * 10 + Int64(time.tv_nsec) / 100_000_000
        guard tenths > shown + 1 else { return }
        shown = tenths
        let percent = progress.totalByteCount > 0 ? min(100, progress.byteCount * 100 / progress.totalByteCount) : 100
        rewrite("\(progress.recordCount) records, \(percent) %")
    }

    /// Takes the line away again.
    func clear() {
        if shown > 0 { rewrite("") }
    }

    private func rewrite(_ text: String) {
        // Back to the line's beginning, and erase it (ECMA-48).
        try? session.remarks.text("\r\u{1B}[K\(text)")
        try? session.remarks.flush()
    }
}
