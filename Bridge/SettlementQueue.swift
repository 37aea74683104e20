internal import Booking
internal import Loop
internal import Postgres
internal import Telemetry

/// Writes down what became of deliveries: one statement at a time, for as many of them as there are then.
@OnLoop
final class SettlementQueue {
    /// How many are settled at once.
    private static let batch = 250
    private static let pauseAfterFailure = Duration.milliseconds(200)

    private let database: Database
    private var waiting: [Settlement] = []
    private let signal = Signal()

    init(_ database: Database) { self.database = database }

    func append(_ settlement: Settlement) {
        waiting.append(settlement)
        signal.fire()
    }

    /// Forgets those of a session that is over.
    func removeAll() { waiting = [] }

    /// Works until the task is cancelled.
    ///
    /// - Parameters:
    ///   - onSettled: told of each batch how many the session still had, and how many there were.
    ///   - onFailure: told why a batch is still to be settled.
    func run(
        onSettled: @OnLoop (_ held: Int, _ count: Int) -> Void, onFailure: @OnLoop (any Error) -> Void
    ) async {
        var most = Self.batch
        while !Task.isCancelled {
            while let session = waiting.first?.session {
                let batch = Array(waiting.prefix { $0.session == session }.prefix(most))
                do {
                    let held = try await database.query(DispatchStatements.settle(batch, of: session)).count
                    most = Self.batch
                    if take(batch) { onSettled(held, batch.count) }
                } catch let error as PostgresError where error.isAboutData {
                    // One that the database will never take keeps the others waiting no longer than it takes to find it.
                    if batch.count > 1 {
                        most = batch.count / 2
                    } else {
                        Log.error(
                            "a webhook's attempt cannot be written down; it stays claimed until this process ends",
                            ["delivery_id": .init(batch[0].delivery.description), "error": .init(error: error)])
                        if take(batch) { onSettled(1, 1) }
                    }
                } catch {
                    onFailure(error)
                    do { try await Loop.sleep(for: Self.pauseAfterFailure) } catch { return }
                }
            }
            do { try await signal.wait() } catch { return }
        }
    }

    /// - Returns: whether it was there; its session may have been found to be over meanwhile.
    private func take(_ batch: [Settlement]) -> Bool {
        guard waiting.first?.session == batch[0].session else { return false }
        waiting.removeFirst(batch.count)
        return true
    }
}

extension PostgresError {
    /// Whether it was refused for what it says: SQLSTATE classes 22 and 23.
    fileprivate var isAboutData: Bool {
        switch code {
        case .checkViolation, .notNullViolation, .uniqueViolation: true
        case .sql(let state): state.hasPrefix("22")
        default: false
        }
    }
}
