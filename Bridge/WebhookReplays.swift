internal import Loop
internal import Postgres
internal import Telemetry
internal import Webhook

/// Goes through the events that are to be delivered anew, of all replays in turn, any bridge's share. What a step makes commits
/// with how far it has come, so that whoever ends in the middle loses nothing and does nothing twice.
@OnLoop
final class WebhookReplays {
    /// How often it looks without being told to.
    private static let interval = Duration.seconds(1)

    /// Events that a step looks at.
    private static let batch: Int32 = 1000

    private let database: Database
    private let due = Signal()
    private var failures = LogThrottle()
    private let made = Metrics.counter(
        "drawbridge_bridge_webhook_replayed_total", "Deliveries made of events that had gone by.")

    init(_ database: Database) { self.database = database }

    /// Lets it look at once.
    func wake() { due.fire() }

    /// Works until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            do {
                let deadline = Deadline { self.due.fire() }
                deadline.set(Self.interval)
                defer { deadline.cancel() }
                try await due.wait()
                while let step = try await database.first(ReplayStatements.advance(Self.batch)) { note(step) }
            } catch is CancellationError { return } catch {
                // What was not committed is done again.
                if let omitted = failures.admit(at: Loop.monotonicNanoseconds) {
                    Log.warning(
                        "replays of webhooks do not get on",
                        ["error": .init(error: error), "lines_omitted": .init(omitted)])
                }
            }
        }
    }

    private func note(_ step: ReplayStep) {
        made.increment(by: UInt64(step.count))
        if step.state != "running" {
            Log.info(
                "replay of webhooks ended",
                ["replay": .init(step.replay.description), "state": .init(step.state)])
        }
    }
}
