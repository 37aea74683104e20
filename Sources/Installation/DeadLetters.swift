public import Loop

/// The writes into the PMS that nobody waits for, in the installation's database: what `drawbridge dead-letters` does. A running
/// bridge sees a change within a second.
@OnLoop
public struct DeadLetters {
    /// In characters.
    public nonisolated static let longestReason = 1000

    /// How a write stands; see `BackgroundWrite.Status`.
    public enum Status: String, Sendable, CaseIterable {
        case dead, pending, retrying, resolved, abandoned
    }

    /// Which are asked for.
    public struct Filter: Sendable, Equatable {
        /// Nil for every hotel.
        public var hotelID: Int32?
        public var status = Status.dead
        public var limit = 100

        /// All dead letters.
        public init() {}
    }

    private let database: Database

    /// Finds the database: `$DATABASE_URL`, or the private one of a running installation.
    ///
    /// - Throws: `InstallationError` when neither is there.
    public init(_ home: Home, _ settings: Settings, tools: Tools) throws {
        database = try Database(of: home, settings, tools: tools)
    }

    /// The newest first: number, operation, hotel, booking, status, attempts, since when, error.
    public func list(_ filter: Filter) async throws -> [[String]] {
        try await database.rows(
            """
            SELECT id, operation, hotel_id, booking_id, status, attempts + earlier_attempts,
                   \(Database.instant("COALESCE(dead_at, resolved_at, created_at)")),
                   COALESCE(translate(error_code || ': ' || error_message, E'|\\n\\t', '¦  '), '')
            FROM drawbridge.pms_writes
            WHERE status = :'status' AND (:'hotel' = '' OR hotel_id = NULLIF(:'hotel', '')::INTEGER)
            ORDER BY id DESC LIMIT :'limit'::INTEGER;
            """,
            [
                "status": filter.status.rawValue, "hotel": filter.hotelID.map { String($0) } ?? "",
                "limit": String(filter.limit),
            ])
    }

    /// Everything about one, by the columns' names.
    public func show(_ id: Int64) async throws -> [(name: String, value: String)] {
        let rows = try await database.rows(
            """
            SELECT member.key, translate(member.value, E'|\\n\\t', '¦  ')
            FROM drawbridge.pms_writes AS write, jsonb_each_text(to_jsonb(write)) WITH ORDINALITY AS member (key, value, n)
            WHERE id = :'id'::BIGINT AND member.value IS NOT NULL ORDER BY n;
            """, ["id": String(id)])
        guard !rows.isEmpty else { throw Self.noSuchLetter(id) }
        return rows.map { ($0[0], $0.dropFirst().joined(separator: "|")) }
    }

    /// Lets one be tried anew.
    public func retry(_ id: Int64) async throws {
        try await decide(
            id, "retry_write",
            """
            status = 'pending', earlier_attempts = earlier_attempts + attempts, attempts = 0, next_attempt_at = now(),
            dead_at = NULL, resolved_by = 'command line: ' || session_user
            """)
    }

    /// Lets one never be done; the booking's state says so as it does where the API is asked.
    public func abandon(_ id: Int64, reason: String) async throws {
        try await decide(
            id, "abandon_write",
            """
            status = 'abandoned', dead_at = NULL, resolved_at = now(), resolved_by = 'command line: ' || session_user,
            notes = :'reason'
            """, reason: reason)
    }

    /// What is decided stands in the audit log.
    private func decide(_ id: Int64, _ action: String, _ change: String, reason: String = "") async throws {
        let rows = try await database.rows(
            """
            WITH decided AS (
                UPDATE drawbridge.pms_writes SET \(change) WHERE id = :'id'::BIGINT AND status = 'dead' RETURNING *
            ), told AS (
                UPDATE booking_sync_status AS sync
                SET sync_status = CASE WHEN pending.booking_id IS NULL THEN 'synced' ELSE 'conflict' END,
                    error_message = CASE WHEN pending.booking_id IS NOT NULL
                                    THEN 'The booking is not made in the property management system' END
                FROM decided LEFT JOIN drawbridge.pending_reservations AS pending USING (booking_id)
                WHERE sync.hotel_id = decided.hotel_id AND sync.booking_id = decided.booking_id
                  AND sync.sync_status = 'failed' AND decided.status = 'abandoned'
                  AND NOT EXISTS (SELECT FROM drawbridge.pms_writes AS write
                                  WHERE write.booking_id = sync.booking_id
                                    AND write.error_code IS NOT NULL
                                    AND write.status IN ('pending', 'retrying', 'dead') AND write.id <> decided.id)
            )
            INSERT INTO booking_engine_audit_log (hotel_id, action, entity_type, entity_id, request_data, response_data,
                                                  status, actor)
            SELECT hotel_id, :'action', 'booking', booking_id, jsonb_strip_nulls(jsonb_build_object('reason', notes)),
                   jsonb_build_object('dead_letter_id', id, 'operation', operation, 'status', status), 'success',
                   resolved_by
            FROM decided RETURNING entity_id;
            """, ["id": String(id), "action": action, "reason": reason])
        guard !rows.isEmpty else { throw Self.noSuchLetter(id) }
    }

    private static func noSuchLetter(_ id: Int64) -> InstallationError {
        InstallationError("there is no dead letter \(id)", remedy: "see which there are: drawbridge dead-letters list")
    }
}
