internal import CLibUV
internal import Glibc
internal import Synchronization

/// Starting the process's loop, its clocks, and work beside it.
public enum Loop {
    /// Runs `body` on the loop, on the calling thread, and returns when it has ended.
    ///
    /// To be called once, from a process's `main`. From then on everything asynchronous in the process runs on the
    /// loop.
    public static func run(_ body: @escaping @Sendable @OnLoop () async throws -> Void) throws {
        let outcome = Mutex<Result<Void, any Error>?>(nil)
        let root = Root { result in
            outcome.withLock { $0 = result }
            LoopExecutor.shared.stop()
        }
        LoopExecutor.shared.replaceGlobalExecutor()
        Task { await root.run(body) }
        LoopExecutor.shared.run()
        try outcome.withLock { $0 }?.get()
    }

    /// Tells the kernel that this process, which serves requests, gains more from running through than from
    /// interrupting others when it wakes (SCHED_BATCH, sched(7)): more requests are ready each time it runs. To be
    /// called before `run`; threads and processes started later inherit it.
    ///
    /// With gateway, bridge and client on two cores it brought 9 % more requests at a shorter median and 99th
    /// percentile; beside processes that keep both cores busy requests took as long as without it.
    public static func scheduleForThroughput() {
        var parameters = sched_param(sched_priority: 0)
        // Where a sandbox forbids it the process runs as it would have without.
        _ = sched_setscheduler(0, schedulingPolicyBatch, &parameters)
    }

    /// `SCHED_BATCH`, which the C library's header shows with `_GNU_SOURCE` only.
    private static let schedulingPolicyBatch: CInt = 3

    /// Runs the loop on a thread of its own, for a process whose main thread is somebody else's (a test runner).
    ///
    /// Calling it again does nothing.
    public static func runInBackground() { _ = background }

    private static let background: Void = {
        var thread = pthread_t()
        let status = pthread_create(
            &thread, nil,
            { _ in
                LoopExecutor.shared.run()
                return nil
            }, nil)
        precondition(status == 0, "no thread for the loop")
        pthread_detach(thread)
    }()

    /// Nanoseconds on a clock that only moves forward; for measuring.
    public static var monotonicNanoseconds: UInt64 { uv_hrtime() }

    /// Seconds since 1970 on the wall clock.
    public static var unixTime: Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Whole seconds since 1970, by the clock that the kernel keeps for those who ask often: up to ten milliseconds
    /// late, and a third of the price. Not for what others have signed by a better one.
    public static var unixSeconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME_COARSE, &time)
        return Int64(time.tv_sec)
    }

    /// Runs `work` on libuv's thread pool and returns what it returned.
    ///
    /// For work that would hold the loop for more than a few hundred microseconds. It cannot be cancelled once begun.
    @OnLoop
    public static func offload<Output: Sendable>(
        _ work: @escaping @Sendable () throws -> Output
    ) async throws -> Output {
        try await withUnsafeThrowingContinuation { continuation in
            OffloadedWork(continuation, work).submit()
        }
    }

    private struct Root: Sendable {
        let finish: @Sendable (Result<Void, any Error>) -> Void

        init(finish: @escaping @Sendable (Result<Void, any Error>) -> Void) { self.finish = finish }

        @OnLoop
        func run(_ body: @Sendable @OnLoop () async throws -> Void) async {
            do {
                try await body()
                finish(.success(()))
            } catch {
                finish(.failure(error))
            }
        }
    }
}

/// One request to libuv's thread pool; keeps itself alive until libuv has called back.
private final class OffloadedWork<Output: Sendable>: AnyOffloadedWork {
    private let continuation: UnsafeContinuation<Output, any Error>
    private let work: @Sendable () throws -> Output
    private var result: Result<Output, any Error>?

    init(_ continuation: UnsafeContinuation<Output, any Error>, _ work: @escaping @Sendable () throws -> Output) {
        self.continuation = continuation
        self.work = work
    }

    override func perform() { result = Result(catching: work) }

    override func finish(_ status: CInt) {
        continuation.resume(with: result ?? .failure(LoopError(status, "thread pool")))
    }
}

/// What the C callbacks see of `OffloadedWork`, because a generic type cannot be named there.
private class AnyOffloadedWork {
    private let request = UnsafeMutablePointer<uv_work_t>.allocate(capacity: 1)

    deinit { request.deallocate() }

    func perform() {}
    func finish(_ status: CInt) {}

    @OnLoop
    func submit() {
        request.pointee.data = Unmanaged.passRetained(self).toOpaque()
        let status = uv_queue_work(
            LoopExecutor.shared.loop, request, Self.work,
            { request, status in
                Unmanaged<AnyOffloadedWork>.fromOpaque(request!.pointee.data).takeRetainedValue().finish(status)
            })
        if status != 0 {
            Unmanaged<AnyOffloadedWork>.fromOpaque(request.pointee.data).takeRetainedValue().finish(status)
        }
    }

    /// On a thread of libuv's pool. A closure written in `submit` would be isolated to the loop, and trap there.
    private static let work: @Sendable @convention(c) (UnsafeMutablePointer<uv_work_t>?) -> Void = {
        Unmanaged<AnyOffloadedWork>.fromOpaque($0!.pointee.data).takeUnretainedValue().perform()
    }
}
