public import Loop
internal import Telemetry

/// A worker's firewall: looks for an earlier verdict, or has the engine judge on a thread of libuv's pool.
///
/// Every inspection leaves the loop. An ordinary one takes half a millisecond, of which the way to the pool and back is a
/// few hundredths; a hostile one of two kilobytes takes as long as the engine's bound allows, and whoever sends it should
/// hold up no other connection.
@OnLoop
public final class Firewall {
    private let engine: any FirewallEngine
    private let lanes: Lanes
    private let remembers: Bool
    private var cache: VerdictCache
    private let metrics = FirewallMetrics()

    /// Inspections that wait for a thread.
    var waiting: Int { lanes.waiting }

    /// - Parameter engine: loaded before, as that takes a tenth of a second and may fail.
    public init(_ engine: any FirewallEngine, _ policy: FirewallPolicy) {
        self.engine = engine
        lanes = Lanes(policy.maximumConcurrent, maximumWaiting: policy.maximumWaiting)
        remembers = !engine.dependsOnCircumstances
        cache = VerdictCache(maximumEntries: policy.rememberedVerdicts, maximumBytes: policy.rememberedBytes)
        metrics.watch { [weak self] in (entries: self?.cache.count ?? 0, waiting: self?.lanes.waiting ?? 0) }
    }

    /// Judges one request.
    ///
    /// - Throws: `FirewallError` `overloaded` when too many inspections wait, a 503; `failed` when the engine broke down,
    ///   a 500; `CancellationError` when the task is cancelled while it waits.
    public func inspect(
        _ request: FirewallRequest, _ settings: FirewallSettings
    ) async throws -> FirewallVerdict {
        guard settings.mode != .off else { return .uninspected }
        let key = remembers ? cache.key(request, settings) : nil
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
            let (finding, nanoseconds) = try await lanes.run { [engine] in
                let start = Loop.monotonicNanoseconds
                let finding = try engine.inspect(request, settings)
                return (finding, Loop.monotonicNanoseconds - start)
            }
            metrics.durations.record(nanoseconds: nanoseconds)
            if !finding.isComplete { metrics.incomplete.increment() }
            return finding
        } catch let error as FirewallError {
            metrics.failed(error)
            throw error
        }
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
    private var free: Int
    private var line: [Place] = []

    /// A task's place in the line.
    @OnLoop
    private final class Place {
        let turn = Signal()
        var isServed = false
    }

    var waiting: Int { line.count }

    init(_ count: Int, maximumWaiting: Int) {
        precondition(count > 0)
        free = count
        self.maximumWaiting = maximumWaiting
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
        do {
            try await place.turn.wait()
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
