public import Loop
internal import Telemetry

/// Starts services in order, each stage when the one before is ready, and stops them in reverse order.
///
/// When one fails, the others are stopped and its error is thrown; what fails while stopping is only logged. A service
/// that returns without being stopped is done; the others go on.
@OnLoop
public final class ServiceGroup: Service {
    public let name: String
    private var stages: [[Member]]
    private let change = Signal()
    private var failure: (any Error)?
    private var stopsAsked = 0

    /// - Parameter stages: the services of one stage start, and stop, together.
    public init(_ name: String, _ stages: [[any Service]]) {
        self.name = name
        self.stages = stages.map { $0.map(Member.init) }
    }

    /// Runs them all until `stop` is called or one of them fails, and returns when every one has ended.
    public func run(ready: @escaping @OnLoop () -> Void) async throws {
        await withTaskGroup { group in
            for stage in stages {
                for member in stage {
                    member.phase = .starting
                    group.addTask { await self.run(member) }
                }
                await wait { stage.allSatisfy { $0.phase != .starting } }
                if mustStop { break }
            }
            if !mustStop { ready() }
            await wait { self.stages.joined().allSatisfy { $0.phase == .ended } }
            for stage in stages.reversed() { await stop(stage) }
        }
        if let failure { throw failure }
    }

    /// Asks the services to stop, the last started first; called again, each is asked to hurry.
    public func stop() {
        stopsAsked += 1
        // Those being stopped now hear of every further call; the others when their turn comes.
        for member in stages.joined() where member.isStopping { member.service.stop() }
        change.fire()
    }

    private var mustStop: Bool { failure != nil || stopsAsked > 0 }

    /// Suspends until `condition` holds or the group must stop.
    private func wait(until condition: () -> Bool) async {
        while !mustStop, !condition() {
            do { try await change.wait() } catch { stopsAsked += 1 }
        }
    }

    private func run(_ member: Member) async {
        do {
            try await member.service.run { [change] in
                if member.phase == .starting { member.phase = .ready }
                change.fire()
            }
        } catch {
            let fields: KeyValuePairs<StaticString, Log.Value> = [
                "service": .string(member.service.name), "error": Log.Value(error: error),
            ]
            if mustStop {
                Log.info("service ended early while stopping", fields)
            } else {
                Log.error("service failed", fields)
                failure = error
            }
        }
        member.phase = .ended
        change.fire()
    }

    private func stop(_ stage: [Member]) async {
        for member in stage where member.phase == .starting || member.phase == .ready {
            member.isStopping = true
            for _ in 0..<max(1, stopsAsked) { member.service.stop() }
        }
        while !stage.allSatisfy({ $0.phase == .ended || $0.phase == .waiting }) {
            do { try await change.wait() } catch { return }
        }
    }

    @OnLoop
    private final class Member {
        let service: any Service
        var phase = Phase.waiting
        var isStopping = false

        init(_ service: any Service) { self.service = service }
    }

    private enum Phase {
        /// Its turn has not come.
        case waiting
        /// Its task runs; those after it wait.
        case starting
        /// Its task runs and it serves.
        case ready
        /// Its task has ended.
        case ended
    }
}
