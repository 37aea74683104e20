internal import Booking
internal import Loop
internal import Policy
internal import Postgres
internal import Telemetry
internal import Webhook

/// Keeps in mind how long endpoints have done nothing but fail, tells their owners, and disables them in the end.
@OnLoop
struct EndpointFailures {
    let database: Database
    /// After how long an endpoint is disabled.
    let limit: Duration

    /// Notes how an attempt went.
    ///
    /// - Parameter target: what was tried.
    /// - Returns: whether the endpoint is to be read anew.
    /// - Throws: where it could not be written down; the next failure counts as this one would have.
    func note(_ outcome: DeliveryOutcome, of target: EndpointLane.Target, in lane: EndpointLane) async throws -> Bool {
        let before = lane.streak
        // Whoever settles that something has arrived ends what is written down of failures.
        guard !outcome.isSuccess else {
            lane.streak.end()
            return false
        }
        do {
            if outcome.statusFailure == .gone {
                try await database.execute(Self.disabling(lane, target, "gone"))
                Self.noteDisabled(lane, "gone")
                return true
            }
            let milestones = lane.streak.fail(at: Instant.now.microseconds / 1_000_000, limit: limit)
            if before.since == nil { try await database.execute(DispatchStatements.beginFailures(lane.id)) }
            guard let milestone = milestones.last else { return false }
            let transaction = try await database.begin()
            let told = DispatchStatements.tellOfFailures(lane.id, Int16(milestone.rawValue))
            guard try await transaction.first(told) != nil else {
                // Another has told of it, or something has arrived by another.
                transaction.rollback()
                return true
            }
            try await transaction.commit(milestone == .all ? [Self.disabling(lane, target, "failing")] : [])
            if milestone == .all { Self.noteDisabled(lane, "failing") }
            return milestone == .all
        } catch {
            lane.streak = before
            throw error
        }
    }

    /// Disables an endpoint that is where it was tried.
    private static func disabling(
        _ lane: EndpointLane, _ target: EndpointLane.Target, _ reason: String
    ) -> Query<Void> {
        DispatchStatements.disable(lane.id, reason, BookingJournal.drawbridge, target.subscription.url)
    }

    private static func noteDisabled(_ lane: EndpointLane, _ reason: String) {
        Log.warning(
            "webhook's endpoint disabled", ["endpoint_id": .init(lane.id.description), "reason": .init(reason)])
    }
}
