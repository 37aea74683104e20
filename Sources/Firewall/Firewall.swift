public import Loop
internal import Telemetry

/// A worker's firewall: looks for an earlier verdict, or has the engine judge.
///
/// **Where it judges.** A request with little content or none is judged on the loop, in half a millisecond: the way to a thread and
/// back would add a third to that (measured: 1.01 ms on the loop, 1.37 ms beside it, the machine busy). A hostile one
/// may take `timeOnLoop`, and is then begun again beside the loop. More content is judged beside the loop at once: a
/// millisecond for a booking, and a hundred for the most that is let in, would be too long a wait for all other
/// connections.
@OnLoop
public final class Firewall {
    private let engine: any FirewallEngine
    private let lanes: Lanes
    private let inspectionTime: Duration
    private let timeOnLoop: Duration
    /// Whether a verdict hangs on the request alone.
    private let isPure: Bool
    private var cache: VerdictCache
    private let metrics = FirewallMetrics()

    /// Inspections that wait for a thread.
    var waiting: Int { lanes.waiting }

    /// - Parameter engine: loaded before, as that takes a tenth of a second and may fail.
    public init(_ engine: any FirewallEngine, _ policy: FirewallPolicy) {
        self.engine = engine
        isPure = !engine.dependsOnCircumstances
        lanes = Lanes(
            isPure ? policy.maximumConcurrent : 1, maximumWaiting: policy.maximumWaiting, patience: policy.patience)
        inspectionTime = policy.inspectionTime
        timeOnLoop = policy.timeOnLoop
        cache = VerdictCache(maximumEntries: policy.rememberedVerdicts, maximumBytes: policy.rememberedBytes)
        metrics.watch { [weak self] in (entries: self?.cache.count ?? 0, waiting: self?.lanes.waiting ?? 0) }
    }

    /// Judges one request.
    ///
    /// - Throws: `FirewallError` `overloaded` when too many inspections wait, a 503; `failed` when the engine broke
    ///   down, a 500; `CancellationError` when the task is cancelled while it waits.
    public func inspect(
        _ request: FirewallRequest, _ settings: FirewallSettings
    ) async throws -> FirewallVerdict {
        guard settings.mode != .off else { return .uninspected }
        let key = isPure ? cache.key(request, settings) : nil
        if let key, let finding = cache.finding(for: key) {
            metrics.hits.increment()
            return conclude(finding, settings.mode, isRemembered: true)
        }
        if key != nil { metrics.misses.increment() }
        let finding = try await judge(request, settings)
        if let key { cache.insert(finding, for: key) }
        return conclude(finding, settings.mode, isRemembered: false)
    }

    private func judge(_ request: FirewallRequest, _ settings: FirewallSettings) async throws -> Finding {
        do {
            if isPure, request.hasLittleContent {
                let finding = try timed(Self.inspect(engine, request, settings, timeOnLoop))
                if finding.isComplete { return finding }
            }
            let finding = try await timed(
                lanes.run { [engine, inspectionTime] in try Self.inspect(engine, request, settings, inspectionTime) })
            if !finding.isComplete { metrics.incomplete.increment() }
            return finding
        } catch let error as FirewallError {
            metrics.failed(error)
            throw error
        }
    }

    private nonisolated static func inspect(
        _ engine: any FirewallEngine, _ request: FirewallRequest, _ settings: FirewallSettings, _ bound: Duration
    ) throws(FirewallError) -> (finding: Finding, nanoseconds: UInt64) {
        let start = Loop.monotonicNanoseconds
        let finding = try engine.inspect(request, settings, within: bound)
        return (finding, Loop.monotonicNanoseconds - start)
    }

    private func timed(_ inspection: (finding: Finding, nanoseconds: UInt64)) -> Finding {
        metrics.durations.record(nanoseconds: inspection.nanoseconds)
        return inspection.finding
    }

    private func conclude(
        _ finding: Finding, _ mode: FirewallSettings.Mode, isRemembered: Bool
    ) -> FirewallVerdict {
        let verdict = FirewallVerdict(finding, mode, isRemembered: isRemembered)
        metrics.concluded(verdict.decision)
        return verdict
    }
}

/// A bounded number of threads of libuv's pool, and a bounded line before them, first come first served.
@OnLoop
final class Lanes {
    private let maximumWaiting: Int
    private let patience: Duration
    private var free: Int
    private var line: [Place] = []

    /// A task's place in the line.
    @OnLoop
    private final class Place {
        let turn = Signal()
        var isServed = false
    }

    var waiting: Int { line.count }

    init(_ count: Int, maximumWaiting: Int, patience: Duration) {
        precondition(count > 0)
        free = count
        self.maximumWaiting = maximumWaiting
        self.patience = patience
    }

    /// Runs `work` on a thread of the pool when one of the lanes is free.
    func run<Output: Sendable>(_ work: @escaping @Sendable () throws -> Output) async throws -> Output {
        if free > 0 { free -= 1 } else { try await wait() }
        defer { leave() }
        return try await Loop.offload(work)
    }

    private func wait() async throws {
        guard line.count < maximumWaiting else {
            throw FirewallError(.overloaded, "\(line.count) inspections wait already")
        }
        let place = Place()
        line.append(place)
        let deadline = Deadline { place.turn.fire() }
        deadline.set(patience)
        defer { deadline.cancel() }
        do {
            try await place.turn.wait()
            guard place.isServed else { throw FirewallError(.overloaded, "no thread was free in time") }
        } catch {
            // A turn that came all the same is passed on.
            if place.isServed { leave() } else { line.removeAll { $0 === place } }
            throw error
        }
    }

    /// Gives the lane to the next in line.
    private func leave() {
        guard !line.isEmpty else {
            free += 1
            return
        }
        let next = line.removeFirst()
        next.isServed = true
        next.turn.fire()
    }
}
