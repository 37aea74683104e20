internal import CLibUV
internal import CSwiftConcurrency
internal import Glibc
internal import Synchronization

/// Runs Swift jobs on the thread of the libuv loop.
///
/// It is the serial executor of `OnLoop`, and in a process that runs on the loop also stands in for the runtime's
/// global executor: otherwise a resumed continuation would pass through that one's threads before it comes back here.
///
/// Callbacks of libuv only make jobs ready. They run in one go after all sockets of a poll were served, and again after
/// the timers: resuming a task costs neither a system call nor a hop, and what arrived is looked at before a timer can
/// say that it came too late. A job from another thread is put on a locked queue and the loop is woken once for the
/// batch.
final class LoopExecutor: SerialExecutor, @unchecked Sendable {
    // Unchecked, because `ready` and the handles are touched by the loop's thread only and `remote` by whoever holds
    // `lock`.

    static let shared = LoopExecutor()

    /// Jobs run in one go before libuv may look at its sockets again.
    private static let jobsPerDrain = 4096

    let loop: UnsafeMutablePointer<uv_loop_t>
    private let wake: UnsafeMutablePointer<uv_async_t>
    private let afterTimers: UnsafeMutablePointer<uv_prepare_t>
    private let afterSockets: UnsafeMutablePointer<uv_check_t>
    /// Active while jobs are left: it keeps libuv from sleeping.
    private let awake: UnsafeMutablePointer<uv_idle_t>
    private var ready = JobQueue()
    private var remote = RemoteQueue()
    /// A pthread mutex, because ThreadSanitizer does not see that the standard library's `Mutex` (6.3, Linux) locks.
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let thread = Atomic<UInt>(0)

    private struct RemoteQueue {
        var jobs: [UnownedJob] = []
        var isWakePending = false
    }

    private init() {
        loop = .allocate(capacity: 1)
        wake = .allocate(capacity: 1)
        afterTimers = .allocate(capacity: 1)
        afterSockets = .allocate(capacity: 1)
        awake = .allocate(capacity: 1)
        pthread_mutex_init(lock, nil)
        precondition(uv_loop_init(loop) == 0, "libuv cannot make a loop: too few file descriptors?")
        let status = uv_async_init(loop, wake) { _ in LoopExecutor.shared.takeRemoteJobs() }
        precondition(status == 0, "libuv cannot make a loop: too few file descriptors?")
        uv_idle_init(loop, awake)
        uv_prepare_init(loop, afterTimers)
        uv_prepare_start(afterTimers) { _ in LoopExecutor.shared.drain() }
        uv_check_init(loop, afterSockets)
        uv_check_start(afterSockets) { _ in LoopExecutor.shared.drain() }
    }

    /// Whether the calling thread is the loop's.
    @inline(__always)
    var isOnLoopThread: Bool { UInt(pthread_self()) == thread.load(ordering: .relaxed) }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if isOnLoopThread {
            ready.append(job)
        } else {
            pthread_mutex_lock(lock)
            remote.jobs.append(job)
            let isWakePending = remote.isWakePending
            remote.isWakePending = true
            pthread_mutex_unlock(lock)
            if !isWakePending { uv_async_send(wake) }
        }
    }

    func checkIsolated() {
        precondition(isOnLoopThread, "expected to be on the loop's thread")
    }

    func isIsolatingCurrentContext() -> Bool? { isOnLoopThread }

    func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    /// Lets the loop run what the runtime's own threads would run: tasks and asynchronous functions without an actor,
    /// and every resumed continuation.
    ///
    /// The language's way to say so, preferring the executor in each task, takes a lock in the task at every
    /// asynchronous call: 8 % of a proxied request's instructions.
    func replaceGlobalExecutor() {
        typealias Enqueue = @convention(thin) (UnownedJob) -> Void
        let enqueue: @convention(thin) (UnownedJob, Enqueue) -> Void = { job, _ in
            LoopExecutor.shared.enqueue(ExecutorJob(job))
        }
        swift_concurrency_set_global_enqueue(unsafeBitCast(enqueue, to: UnsafeMutableRawPointer.self))
    }

    /// Runs libuv on the calling thread until `stop` is called.
    func run() {
        let previous = thread.exchange(UInt(pthread_self()), ordering: .relaxed)
        precondition(previous == 0, "the loop runs already")
        // Some libraries use plain `write`: a closed socket must be an error where it happens, not the process's end.
        signal(SIGPIPE, SIG_IGN)
        // The first jobs run before libuv has looked at its clock.
        uv_update_time(loop)
        takeRemoteJobs()
        uv_run(loop, UV_RUN_DEFAULT)
        thread.store(0, ordering: .relaxed)
    }

    func stop() { uv_stop(loop) }

    /// Runs the jobs that are ready, those they make ready as well.
    private func drain() {
        var budget = Self.jobsPerDrain
        while budget > 0, let job = ready.popFirst() {
            budget -= 1
            job.runSynchronously(on: asUnownedSerialExecutor())
        }
        if ready.isEmpty { uv_idle_stop(awake) } else { uv_idle_start(awake) { _ in } }
    }

    private func takeRemoteJobs() {
        pthread_mutex_lock(lock)
        for job in remote.jobs { ready.append(job) }
        remote.jobs.removeAll(keepingCapacity: true)
        remote.isWakePending = false
        pthread_mutex_unlock(lock)
    }
}

/// First in, first out; keeps its storage, so that a steady state allocates nothing.
private struct JobQueue {
    private var jobs: [UnownedJob] = []
    private var first = 0

    var isEmpty: Bool { first == jobs.count }

    @inline(__always)
    mutating func append(_ job: UnownedJob) { jobs.append(job) }

    @inline(__always)
    mutating func popFirst() -> UnownedJob? {
        guard first < jobs.count else { return nil }
        let job = jobs[first]
        first += 1
        if first == jobs.count {
            jobs.removeAll(keepingCapacity: true)
            first = 0
        } else if first == 4096 {
            // A queue that never runs empty must not grow for ever.
            jobs.removeFirst(first)
            first = 0
        }
        return job
    }
}
