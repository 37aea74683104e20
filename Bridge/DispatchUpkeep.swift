internal import Loop
internal import Postgres
internal import Webhook

/// What is to be done again and again beside delivering, by any dispatcher. What fails of it keeps nothing else from being done.
@OnLoop
final class DispatchUpkeep {
    /// Rounds between two looks at slots that can be emptied.
    private static let roundsPerEmptying = 10

    private let database: Database
    private let secrets: WebhookSecrets
    private var rounds = 0

    init(_ database: Database, _ secrets: WebhookSecrets) {
        self.database = database
        self.secrets = secrets
    }

    /// Does what there is to do.
    ///
    /// - Parameter onFailure: told what could not be done, and why.
    func round(onFailure: @OnLoop (any Error, StaticString) -> Void) async {
        func attempt(_ complaint: StaticString, _ work: () async throws -> Void) async {
            do { try await work() } catch { onFailure(error, complaint) }
        }
        await attempt("webhooks' first secrets not made") {
            for id in try await database.query(WebhookStatements.withoutSecret()) {
                try await secrets.makeFirst(of: id, database)
            }
        }
        await attempt("what waits for disabled webhooks not put away") {
            _ = try await database.query(DispatchStatements.sweep())
        }
        await attempt("what waits for removed webhooks not put away") {
            try await database.execute(DispatchStatements.sweepRemoved())
        }
        if rounds % Self.roundsPerEmptying == 0 {
            await attempt("webhooks' slots not emptied") {
                _ = try await database.query(DispatchStatements.emptySlots())
            }
        }
        rounds += 1
    }
}
