/// The place where one task at a time waits for something that the loop brings about.
@OnLoop
final class Waiter<Output: Sendable> {
    private var continuation: UnsafeContinuation<Output, any Error>?

    /// Tells one wait from the next: a cancellation that comes from another thread may arrive after its wait is over,
    /// and must not end somebody else's.
    private var number: UInt = 0

    init() {}

    /// Whether a task waits now.
    @inline(__always)
    var isWaiting: Bool { continuation != nil }

    /// Suspends until `resume`, unless `ready` has a result already.
    ///
    /// A caller that is not isolated to the loop passes through its queue first, so anything can happen between a look
    /// at the state and this wait: `ready` looks when nothing can any more.
    ///
    /// - Throws: what `resume` was given; `CancellationError` when the task is cancelled, before or meanwhile.
    func wait(unless ready: @OnLoop () -> Result<Output, any Error>?) async throws -> Output {
        precondition(continuation == nil, "one task at a time may wait here")
        number &+= 1
        let number = number
        return try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                // Cancelled before the handler stood: it has run, and found nothing to resume.
                if Task.isCancelled {
                    continuation.resume(throwing: CancellationError())
                } else if let result = ready() {
                    continuation.resume(with: result)
                } else {
                    self.continuation = continuation
                }
            }
        } onCancel: {
            Loop.perform { if self.number == number { self.resume(with: .failure(CancellationError())) } }
        }
    }

    /// Keeps the continuation of a task that does not watch for its cancellation.
    @inline(__always)
    func park(_ continuation: UnsafeContinuation<Output, any Error>) {
        precondition(self.continuation == nil, "one task at a time may wait here")
        number &+= 1
        self.continuation = continuation
    }

    /// Lets the waiting task go on; without one, does nothing.
    func resume(with result: Result<Output, any Error>) {
        guard let continuation else { return }
        self.continuation = nil
        continuation.resume(with: result)
    }
}
