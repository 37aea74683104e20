internal import Loop
internal import Policy
internal import Postgres
internal import Telemetry

/// Removes what has been kept long enough, and makes the audit log's months ahead of time. What fails is tried again the
/// next time; nothing that clients do waits for it.
@OnLoop
final class Retention {
    /// How often answers that need not be repeated any more are looked for.
    private static let interval = Duration.seconds(60)

    /// Looks between two at what is kept for days and months.
    private static let looksPerHour = 60

    /// Months of the audit log that are made ahead.
    private static let monthsAhead: Int32 = 3

    /// Days of webhooks' events, deliveries and attempts, and of webhooks to us, that are made ahead.
    private static let daysAhead: Int32 = 3

    private let database: Database
    private let policy: BridgePolicy.Retention
    private let tokens: TokenService
    private let failures = Metrics.counter(
        "drawbridge_bridge_retention_failures_total",
        "Times that something old could not be removed, or a month of the audit log not be made.")

    init(_ database: Database, _ policy: BridgePolicy.Retention, _ tokens: TokenService) {
        self.database = database
        self.policy = policy
        self.tokens = tokens
    }

    /// Works until the task is cancelled.
    func run() async {
        var looks = 0
        while !Task.isCancelled {
            do { try await Loop.sleep(for: looks == 0 ? .seconds(1) : Self.interval) } catch { return }
            await remove("stored answers", IdempotencyStatements.deleteOldRecords())
            if looks % Self.looksPerHour == 0 { await lookAtAll() }
            for (what, batch) in tokens.outlived { await remove(what, batch) }
            await remove("secrets of webhooks", WebhookStatements.removeExpired())
            looks += 1
        }
    }

    private func lookAtAll() async {
        await attempt("audit log's months to come") {
            _ = try await database.query(BookingStatements.makeAuditPartitions(Self.monthsAhead))
        }
        await attempt("audit log's months past") {
            _ = try await database.query(BookingStatements.dropAuditPartitions(Int32(policy.auditLogMonths)))
        }
        await attempt("webhooks' days to come") {
            _ = try await database.query(DispatchStatements.makePartitions(Self.daysAhead))
        }
        await attempt("webhooks' days past") {
            _ = try await database.query(DispatchStatements.dropPartitions(Int32(policy.eventDays)))
        }
        await attempt("days to come of webhooks to us") {
            _ = try await database.query(InboundStatements.makePartitions(Self.daysAhead))
        }
        await attempt("days past of webhooks to us") {
            _ = try await database.query(InboundStatements.dropPartitions(Int32(policy.inboundDays)))
        }
        await remove("what webhooks to us are recognised by", InboundStatements.deleteOldKeys())
        await remove("dead letters of webhooks", DeliveryStatements.removeOldDeadLetters(Int32(policy.eventDays)))
        await remove("replays of webhooks", ReplayStatements.removeOld(Int32(policy.eventDays)))
        await remove("writes into the PMS", PMSWriteStatements.deleteOld(Int32(policy.pmsWriteDays)))
        await remove("guests' particulars", PendingStatements.deleteOld())
        await remove("bookings", BookingStatements.deleteOldBookings(Int32(policy.bookingDays)))
    }

    /// Some at a time, so that nobody waits long for their locks.
    private func remove(_ what: String, _ batch: Query<Void>) async {
        await attempt(what) {
            while try await database.execute(batch) > 0, !Task.isCancelled {}
        }
    }

    private func attempt(_ what: String, _ body: @OnLoop () async throws -> Void) async {
        do { try await body() } catch {
            guard !Task.isCancelled else { return }
            failures.increment()
            // Once an hour at most of each, but while the database is away, which its own log says.
            Log.warning("not cleaned up", ["what": .init(what), "error": .init(error: error)])
        }
    }
}
