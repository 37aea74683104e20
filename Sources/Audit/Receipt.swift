public import Loop

/// What a request waits with for its record to be acknowledged.
@OnLoop
public final class Receipt {
    private enum State {
        case pending
        case acknowledged
        case failed(AuditError)
    }

    private var state = State.pending
    private var continuation: UnsafeContinuation<Void, any Error>?

    init() {}

    /// Returns when the record is acknowledged; at once, without suspending, where it is already. One task may wait.
    ///
    /// The wait ends by itself at the deadline, so it does not watch for the task's cancellation.
    ///
    /// - Throws: `AuditError` when it is refused, or the deadline passes.
    @inline(__always)
    public func wait() async throws {
        switch state {
        case .acknowledged: return
        case .failed(let error): throw error
        case .pending: try await withUnsafeThrowingContinuation { continuation = $0 }
        }
    }

    func settle(_ error: AuditError?) {
        guard case .pending = state else { return }
        state = error.map { .failed($0) } ?? .acknowledged
        guard let continuation else { return }
        self.continuation = nil
        if let error { continuation.resume(throwing: error) } else { continuation.resume() }
    }
}
