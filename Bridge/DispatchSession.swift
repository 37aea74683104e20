internal import Loop
internal import Postgres
internal import Telemetry

/// In whose name a dispatcher claims deliveries. What it has claimed is its own as long as its session lasts, which it says every
/// second that it does; when nothing was heard of it for the length of a lease, others end it.
@OnLoop
final class DispatchSession {
    /// Between two heartbeats.
    private static let beat = Duration.seconds(1)
    /// After so many milliseconds without a heartbeat others take over.
    private static let lease: Int64 = 10_000

    private let database: Database
    private let metrics: DispatchMetrics
    /// Nil where there is none.
    private(set) var number: Int64?
    /// Whether nobody knows what has been claimed.
    private var isDoubtful = false
    /// Whether nothing more is to be claimed.
    private(set) var isClosing = false

    init(_ database: Database, _ metrics: DispatchMetrics) {
        self.database = database
        self.metrics = metrics
    }

    /// The number to claim more deliveries by; nil while none may be.
    var claiming: Int64? { isDoubtful || isClosing ? nil : number }

    /// Ends it at the next beat: something may have been claimed of which no answer has told.
    func doubt() { isDoubtful = true }

    /// Claims nothing more.
    func close() { isClosing = true }

    /// Keeps it, and begins another where it is over, until the task is cancelled. Nothing else may hold this up: whoever is
    /// silent for too long has nothing any more.
    ///
    /// - Parameters:
    ///   - onOver: told, before there is another, that what it had claimed is anybody's.
    ///   - onWork: told that there may be something to claim.
    ///   - onFailure: told why it was not kept.
    func run(
        onOver: @OnLoop () -> Void, onWork: @OnLoop () -> Void, onFailure: @OnLoop (any Error) -> Void
    ) async {
        while !Task.isCancelled {
            do {
                if try await isOver() {
                    number = nil
                    isDoubtful = false
                    onOver()
                    Log.warning("webhooks' session was over; what it had is anybody's")
                }
                if number == nil, !isClosing {
                    number = try await database.first(DispatchStatements.begin())
                    metrics.sessions.increment()
                    onWork()
                }
                let gone = try await end(nil, silence: Self.lease)
                if gone > 0 {
                    Log.warning("webhooks of a dispatcher that is gone are anybody's", ["sessions": .init(gone)])
                    onWork()
                }
            } catch { onFailure(error) }
            do { try await Loop.sleep(for: Self.beat) } catch { return }
        }
    }

    /// Ends it for good; what it has claimed is anybody's at once.
    func end() async throws {
        guard let number else { return }
        _ = try await end(number)
        self.number = nil
    }

    /// Says that it goes on, unless it is in doubt: then it is ended.
    private func isOver() async throws -> Bool {
        guard let number else { return false }
        if isDoubtful {
            // What it has claimed is free then; and what is still to be claimed in its name comes too late.
            _ = try await end(number)
            return true
        }
        // Silent for too long, and it is not there any more.
        return try await database.first(DispatchStatements.heartbeat(number)) == nil
    }

    /// Ends a session, or those that have been silent for so many milliseconds.
    ///
    /// - Returns: how many.
    private func end(_ own: Int64?, silence: Int64? = nil) async throws -> Int {
        let transaction = try await database.begin()
        let ended = try await transaction.query(DispatchStatements.end(own, silence))
        guard !ended.isEmpty else {
            transaction.rollback()
            return 0
        }
        try await transaction.commit([DispatchStatements.free(ended)])
        return ended.count
    }
}
