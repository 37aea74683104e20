internal import Cryptography
public import Inbound
public import Loop

/// The webhooks that others have sent to the installation, in its database: what `drawbridge inbound` does. A running bridge sees a
/// change within a second.
@OnLoop
public struct InboundMessages {
    /// Which are asked for.
    public struct Filter: Sendable, Equatable {
        /// Nil for every source.
        public var source: String?
        /// Nil for all, however they stand.
        public var status: InboundMessage.Status?
        public var limit = 100

        /// All of them.
        public init() {}
    }

    private let database: Database

    /// Finds the database: `$DATABASE_URL`, or the private one of a running installation.
    ///
    /// - Throws: `InstallationError` when neither is there.
    public init(_ home: Home, _ settings: Settings, tools: Tools) throws {
        database = try Database(of: home, settings, tools: tools)
    }

    /// The newest first: number, source, when it came, hotel, status, attempts, reason.
    public func list(_ filter: Filter) async throws -> [[String]] {
        try await database.rows(
            """
            SELECT id, source, \(Database.instant("received_at")), hotel_id, status, attempts,
                   COALESCE(\(Database.line("reason")), '')
            FROM drawbridge.inbound_messages
            WHERE (:'status' = '' OR status = :'status') AND (:'source' = '' OR source = :'source')
            ORDER BY id DESC LIMIT :'limit'::INTEGER;
            """,
            [
                "status": filter.status?.rawValue ?? "", "source": filter.source ?? "", "limit": String(filter.limit),
            ])
    }

    /// Everything about one but its content, by the columns' names.
    public func show(_ id: Int64) async throws -> [(name: String, value: String)] {
        let rows = try await database.rows(
            """
            SELECT member.key, \(Database.line("member.value"))
            FROM drawbridge.inbound_messages AS message,
                 jsonb_each_text(to_jsonb(message) - 'content' || jsonb_build_object(
                     'content_length', octet_length(content), 'repetitions', COALESCE(
                         (SELECT repetitions FROM drawbridge.inbound_keys AS known
                          WHERE known.source = message.source AND known.key = message.key AND message_id = message.id), 0)))
                 WITH ORDINALITY AS member (key, value, n)
            WHERE id = :'id'::BIGINT AND member.value IS NOT NULL ORDER BY n;
            """, ["id": String(id)])
        guard !rows.isEmpty else { throw Self.noSuchMessage(id) }
        return rows.map { ($0[0], $0.dropFirst().joined(separator: "|")) }
    }

    /// What one says, byte by byte as it came; guests' data may be in it.
    public func content(_ id: Int64) async throws -> [UInt8] {
        let rows = try await database.rows(
            "SELECT encode(content, 'hex') || '.' FROM drawbridge.inbound_messages WHERE id = :'id'::BIGINT;",
            ["id": String(id)])
        guard let text = rows.first?.first, let bytes = Hexadecimal.decode(String(text.dropLast())) else {
            throw Self.noSuchMessage(id)
        }
        return bytes
    }

    /// Lets one that was rejected, or is a dead letter, be tried anew; the audit log has it.
    public func retry(_ id: Int64) async throws {
        let rows = try await database.rows(
            """
            WITH decided AS (
                UPDATE drawbridge.inbound_messages
                SET status = 'pending', attempts = 0, next_attempt_at = now(), ended_at = NULL
                WHERE id = :'id'::BIGINT AND status IN ('rejected', 'dead') RETURNING *
            )
            INSERT INTO booking_engine_audit_log (hotel_id, action, entity_type, entity_id, response_data, status, actor)
            SELECT hotel_id, 'retry_inbound', 'inbound_message', id, to_jsonb(decided) - 'content', 'success',
                   'command line: ' || session_user
            FROM decided RETURNING entity_id;
            """, ["id": String(id)])
        guard !rows.isEmpty else {
            throw InstallationError(
                "no message \(id) was rejected or is a dead letter",
                remedy: "see which there are: drawbridge inbound list")
        }
    }

    private static func noSuchMessage(_ id: Int64) -> InstallationError {
        InstallationError("there is no message \(id)", remedy: "see which there are: drawbridge inbound list")
    }
}
