internal import Authentication
internal import Booking
internal import Catalogue
internal import JSONText
internal import Loop
internal import Postgres
internal import Telemetry

/// The record of triggers: who asked for what, and what came of it.
@OnLoop
final class CacheTriggers {
    /// Ends that could not be written down yet because the database was away.
    private static let unwrittenBound = 1024

    private static let interval = Duration.seconds(1)

    /// Looks between two removals of old records.
    private static let looksPerCleanUp: UInt64 = 60

    private let database: Database
    private var unwritten: [CacheTriggerStatements.End] = []
    private var results: [String: Counter] = [:]

    init(_ database: Database) { self.database = database }

    /// Writes down that somebody asked.
    ///
    /// - Returns: the trigger's number.
    func open(_ kind: CacheKind, _ hotels: Set<Int32>?, by identity: Identity) async throws -> Int64 {
        let isAdmin = identity.scopes.contains(.admin)
        let id = try await database.first(
            CacheTriggerStatements.open(
                isAdmin ? "manual" : "pms_triggered", kind.rawValue, hotels.flatMap { $0.count == 1 ? $0.first : nil },
                hotels?.sorted(), isAdmin ? "admin" : "pms", identity.clientKey))
        guard let id else { throw PostgresError(.misuse, "no trigger was recorded") }
        return id
    }

    /// Writes down that the first start read everything, which nobody asked for.
    func recordFill(hotels: Int) async {
        do { try await database.execute(CacheTriggerStatements.fill(Int32(clamping: hotels))) } catch {
            Log.warning("first reading of the hotels not recorded", ["error": .init(error: error)])
        }
    }

    /// One trigger, as it stands; nil when there is none.
    func trigger(_ id: Int64) async throws -> CacheTriggerRecord? {
        try await database.first(CacheTriggerStatements.trigger(id))
    }

    /// The reading has begun. That this cannot be written down keeps nobody from reading.
    func begin(_ triggers: [Int64]) async {
        do { try await database.execute(CacheTriggerStatements.begin(triggers)) } catch {
            Log.debug("cache trigger not noted", ["error": .init(error: error)])
        }
    }

    func end(_ triggers: [Int64], _ kind: CacheKind, _ outcome: CatalogueRefresher.Outcome) async {
        count(kind, "completed", triggers.count)
        let reason = outcome.failures.isEmpty ? nil : "some hotels could not be read: \(outcome.failures[0].reason)"
        await write(
            .init(
                triggers: triggers, status: "completed", updated: Int32(clamping: outcome.change.updated),
                removed: Int32(clamping: outcome.change.removed),
                unchanged: Int32(clamping: outcome.change.unchanged), failed: Int32(clamping: outcome.failures.count),
                reason: reason))
    }

    func fail(_ triggers: [Int64], _ kind: CacheKind, _ failure: RefreshFailure) async {
        count(kind, "failed", triggers.count)
        await write(.init(triggers: triggers, status: "failed", reason: failure.reason))
    }

    /// Writes down what could not be written before, and forgets what is old, until the task is cancelled.
    func run() async {
        var looks: UInt64 = 0
        while !Task.isCancelled {
            do { try await Loop.sleep(for: Self.interval) } catch { return }
            do {
                while let end = unwritten.first {
                    try await database.execute(CacheTriggerStatements.end(end))
                    unwritten.removeFirst()
                }
                if looks % Self.looksPerCleanUp == 0 {
                    try await database.execute(CacheTriggerStatements.abandon())
                    while try await database.execute(CacheTriggerStatements.deleteOld()) > 0 {}
                }
                looks += 1
            } catch {
                Log.debug("cache triggers not written", ["error": .init(error: error)])
            }
        }
    }

    private func write(_ end: CacheTriggerStatements.End) async {
        do { try await database.execute(CacheTriggerStatements.end(end)) } catch {
            Log.warning("end of a cache trigger not recorded yet", ["error": .init(error: error)])
            if unwritten.count < Self.unwrittenBound { unwritten.append(end) }
        }
    }

    private func count(_ kind: CacheKind, _ result: String, _ triggers: Int) {
        let key = "\(kind.rawValue) \(result)"
        if results[key] == nil {
            results[key] = Metrics.counter(
                "drawbridge_bridge_cache_triggers_total", "Triggers that ended.",
                [("cache", kind.rawValue), ("result", result)])
        }
        results[key]?.increment(by: UInt64(triggers))
    }
}

/// A trigger as it was recorded.
struct CacheTriggerRecord: Sendable {
    let id: Int64
    let type: String
    let cache: String
    /// Nil for every hotel.
    let hotels: [Int32]?
    let by: String
    let client: String?
    let status: String
    let updated: Int32
    let removed: Int32
    let unchanged: Int32
    let failed: Int32
    let reason: String?
    let createdAt: Instant
    let completedAt: Instant?

    /// Whether somebody may know of it: whoever asked for it, and whoever may see all hotels it is about.
    func isVisible(to identity: Identity) -> Bool {
        if client == identity.clientKey { return true }
        guard let hotels else { return identity.hotelIDs == .all }
        return hotels.allSatisfy { identity.hotelIDs.includes($0) }
    }

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("trigger_id", Int(id))
            json.member("type", type)
            json.member("cache_type", cache)
            if let hotels {
                json.array("hotel_ids", hotels) { $0.element(Int($1)) }
            } else {
                json.member("hotel_ids", raw: "null")
            }
            json.member("by", by)
            json.member("status", status)
            json.member("updated", Int(updated))
            json.member("removed", Int(removed))
            json.member("unchanged", Int(unchanged))
            json.member("failed", Int(failed))
            json.member("reason", reason)
            json.member("created_at", createdAt.description)
            json.member("completed_at", completedAt?.description)
        }
    }
}

/// The statements on `booking_engine_cache_triggers`.
private enum CacheTriggerStatements {
    struct End: Sendable {
        let triggers: [Int64]
        let status: String
        var updated: Int32 = 0
        var removed: Int32 = 0
        var unchanged: Int32 = 0
        var failed: Int32 = 0
        var reason: String?
    }

    static let open = Statement<Int64, String, String, Int32?, [Int32]?, String, String>(
        "triggers.open",
        """
        INSERT INTO booking_engine_cache_triggers (trigger_type, cache_type, hotel_id, hotel_ids, triggered_by, client)
        VALUES ($1, $2, $3, $4, $5, $6) RETURNING id
        """
    ) { row in try row.next() }

    static let fill = Statement<Void, Int32>(
        "triggers.fill",
        """
        INSERT INTO booking_engine_cache_triggers (trigger_type, cache_type, triggered_by, status, updated_count,
                                                   completed_at)
        SELECT 'scheduled', cache_type, 'system', 'completed', $1, now()
        FROM unnest(ARRAY['hotels', 'room_types']) AS cache_type
        """)

    static let begin = Statement<Void, [Int64]>(
        "triggers.begin",
        "UPDATE booking_engine_cache_triggers SET status = 'processing' WHERE id = ANY ($1) AND status = 'pending'")

    static func end(_ end: End) -> Query<Void> {
        finish(end.triggers, end.status, end.updated, end.removed, end.unchanged, end.failed, end.reason)
    }

    /// Subscribers are told of those that were done: of each hotel that was named, or of all of them at once.
    private static let finish = Statement<Void, [Int64], String, Int32, Int32, Int32, Int32, String?>(
        "triggers.finish",
        """
        WITH ended AS (
            UPDATE booking_engine_cache_triggers
            SET status = $2, updated_count = $3, removed_count = $4, unchanged_count = $5, failed_count = $6,
                error_message = left($7, 1000), completed_at = now()
            WHERE id = ANY ($1)
            RETURNING *
        )
        INSERT INTO drawbridge.outbox_events (event_id, type, hotel_id, entity_id, version, payload)
        SELECT drawbridge.time_ordered_id(), 'cache.refreshed', hotel.id, 'cache trigger ' || ended.id, 1,
               json_build_object(
                   'type', 'cache.refreshed', 'timestamp', drawbridge.instant(now()),
                   'data', json_build_object(
                       'trigger_id', ended.id, 'cache_type', cache_type, 'hotel_id', hotel.id, 'by', triggered_by,
                       'updated', updated_count, 'removed', removed_count, 'unchanged', unchanged_count, 'version', 1))
        FROM ended CROSS JOIN LATERAL unnest(COALESCE(hotel_ids, ARRAY[NULL::int4])) AS hotel (id)
        WHERE status = 'completed'
        """)

    /// Longer than any refresh takes: whoever worked on it has ended.
    static let abandon = Statement<Void>(
        "triggers.abandon",
        """
        UPDATE booking_engine_cache_triggers
        SET status = 'failed', error_message = 'the bridge ended before it was done', completed_at = now()
        WHERE status IN ('pending', 'processing') AND created_at < now() - INTERVAL '10 minutes'
        """)

    /// So many at a time.
    static let deleteOld = Statement<Void>(
        "triggers.delete_old",
        """
        DELETE FROM booking_engine_cache_triggers WHERE id IN (
            SELECT id FROM booking_engine_cache_triggers
            WHERE created_at < now() - INTERVAL '90 days' ORDER BY created_at LIMIT 1000)
        """)

    static let trigger = Statement<CacheTriggerRecord, Int64>(
        "triggers.trigger",
        """
        SELECT id, trigger_type, cache_type, hotel_ids, triggered_by, client, status, updated_count, removed_count,
               unchanged_count, failed_count, error_message, created_at, completed_at
        FROM booking_engine_cache_triggers WHERE id = $1
        """
    ) { row in
        CacheTriggerRecord(
            id: try row.next(), type: try row.next(), cache: try row.next(), hotels: try row.next(),
            by: try row.next(), client: try row.next(), status: try row.next(), updated: try row.next(),
            removed: try row.next(), unchanged: try row.next(), failed: try row.next(), reason: try row.next(),
            createdAt: try row.next(), completedAt: try row.next())
    }
}
