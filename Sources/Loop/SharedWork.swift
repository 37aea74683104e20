/// Work that several ask for at the same time is done once for all of them.
///
/// Who asks before the work has begun shares it. Who asks while it is under way shares the next one: what is being done now
/// may have looked already at what has changed since. So however many ask at once, work for one key is done at most
/// twice, and never twice at the same time.
@OnLoop
public final class SharedWork<Key: Hashable & Sendable, Tag: Sendable, Output: Sendable> {
    /// What the work is: told its key and the tags of all who asked for it.
    public typealias Work = @Sendable @OnLoop (Key, [Tag]) async throws -> Output

    @OnLoop
    private final class Job {
        let key: Key
        var tags: [Tag] = []
        var waiting: [Signal] = []
        var outcome: Result<Output, any Error>?
        var isClaimed = false

        init(_ key: Key) { self.key = key }
    }

    private let bound: Int
    private let gathering: Duration
    private let work: Work
    /// What has not begun yet.
    private var queue: [Job] = []
    private var underWay: Set<Key> = []
    private let arrivals: [Signal]

    /// - Parameters:
    ///   - atOnce: how many keys are worked on at the same time.
    ///   - bound: keys that may wait; one more is refused.
    ///   - gathering: how long it waits for others who want the same before it begins.
    public init(atOnce: Int, bound: Int, gathering: Duration, _ work: @escaping Work) {
        self.bound = bound
        self.gathering = gathering
        self.work = work
        arrivals = (0..<atOnce).map { _ in Signal() }
    }

    /// Waits for the work to be done, together with others who want the same.
    ///
    /// - Throws: `LoopError` `tooLarge` when too much waits, `CancellationError`, what the work throws.
    public func callAsFunction(_ key: Key, _ tag: Tag) async throws -> Output {
        let job = try queue.first { $0.key == key } ?? enqueue(key)
        job.tags.append(tag)
        let done = Signal()
        job.waiting.append(done)
        while true {
            if let outcome = job.outcome { return try outcome.get() }
            try await done.wait()
        }
    }

    /// Works until the task is cancelled.
    public func run() async {
        await withDiscardingTaskGroup { group in
            for arrival in arrivals { group.addTask { await self.work(at: arrival) } }
        }
    }

    private func enqueue(_ key: Key) throws -> Job {
        guard queue.count < bound else { throw LoopError(.tooLarge, "wait for shared work") }
        let job = Job(key)
        queue.append(job)
        for arrival in arrivals { arrival.fire() }
        return job
    }

    private func work(at arrival: Signal) async {
        while !Task.isCancelled {
            guard let job = queue.first(where: { !$0.isClaimed && !underWay.contains($0.key) }) else {
                do { try await arrival.wait() } catch { return }
                continue
            }
            job.isClaimed = true
            underWay.insert(job.key)
            do {
                try await Loop.sleep(for: gathering)
                queue.removeAll { $0 === job }
                job.outcome = .success(try await work(job.key, job.tags))
            } catch {
                queue.removeAll { $0 === job }
                job.outcome = .failure(error)
            }
            underWay.remove(job.key)
            for waiting in job.waiting + arrivals { waiting.fire() }
        }
    }
}
