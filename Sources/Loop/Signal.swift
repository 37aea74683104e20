/// Something one task waits for and something else brings about.
///
/// A `fire` before the `wait` is remembered, several are one. One task may wait at a time.
@OnLoop
public final class Signal {
    private var isFired = false
    private let waiter = Waiter<Void>()

    public init() {}

    /// Lets the waiting task, or the next one to wait, go on.
    public func fire() {
        if waiter.isWaiting {
            waiter.resume(with: .success(()))
        } else {
            isFired = true
        }
    }

    /// Suspends until `fire`.
    ///
    /// - Throws: `CancellationError` when the task is cancelled.
    public func wait() async throws {
        try await waiter.wait {
            defer { isFired = false }
            return isFired ? .success(()) : nil
        }
    }
}

extension Loop {
    /// Calls `body` on the loop: at once when the caller is on the loop's thread, otherwise soon.
    ///
    /// For cancellation handlers, which run wherever the task is cancelled.
    static func perform(_ body: @escaping @Sendable @OnLoop () -> Void) {
        if LoopExecutor.shared.isOnLoopThread {
            OnLoop.assumeIsolated(body)
        } else {
            Task { await body() }
        }
    }
}
