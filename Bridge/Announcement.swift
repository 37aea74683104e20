internal import Loop

/// Lets requests wait until something changes, or for a while: each is answered then.
@OnLoop
final class Announcement {
    /// How long a request waits at most.
    private let patience: Duration

    private var waiting: [ObjectIdentifier: Signal] = [:]
    private var isClosed = false

    /// - Parameter patience: how long a request waits; that of a gateway, which then asks again, by default.
    init(patience: Duration = .seconds(20)) { self.patience = patience }

    /// Returns at the next change, or when the patience or everything ends.
    func wait() async throws {
        guard !isClosed else { return }
        let signal = Signal()
        waiting[ObjectIdentifier(signal)] = signal
        let deadline = Deadline { signal.fire() }
        deadline.set(patience)
        defer {
            deadline.cancel()
            waiting[ObjectIdentifier(signal)] = nil
        }
        try await signal.wait()
    }

    /// Wakes everybody.
    func make() { for signal in waiting.values { signal.fire() } }

    /// Wakes everybody, and lets nobody wait any more: the bridge drains.
    func close() {
        isClosed = true
        make()
    }
}
