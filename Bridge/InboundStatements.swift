internal import Booking
internal import JSONText
internal import Postgres

/// The statements on `drawbridge.inbound_messages` and `drawbridge.inbound_keys`.
enum InboundStatements {
    // MARK: Taking messages

    /// Keeps a message, unless one of the same source and key was kept in the last seven days, which then counts one more
    /// repetition: the number of the one or the other, and whether it came again. Whoever brings the same at the same moment waits
    /// for the key.
    static let keep = Statement<InboundReceipt, String, String, [UInt8], String?, JSON>(
        "inbound.keep",
        """
        WITH fresh AS MATERIALIZED (SELECT nextval('drawbridge.inbound_message_ids') AS id), known AS (
            INSERT INTO drawbridge.inbound_keys AS known (source, key, message_id) SELECT $1, $2, id FROM fresh
            ON CONFLICT (source, key) DO UPDATE SET
                (message_id, received_at, repetitions) = (
                    SELECT CASE WHEN is_over THEN EXCLUDED.message_id ELSE known.message_id END,
                           CASE WHEN is_over THEN EXCLUDED.received_at ELSE known.received_at END,
                           CASE WHEN is_over THEN 0 ELSE known.repetitions + 1 END
                    FROM (SELECT known.received_at <= now() - INTERVAL '7 days' AS is_over) AS age)
            RETURNING message_id, message_id = (SELECT id FROM fresh) AS is_fresh
        ), kept AS (
            INSERT INTO drawbridge.inbound_messages (id, received_at, source, key, content, content_type, fields)
            SELECT message_id, now(), $1, $2, $3, $4, $5 FROM known WHERE is_fresh
        )
        SELECT message_id, NOT is_fresh FROM known
        """
    ) { row in InboundReceipt(id: try row.next(), isRepetition: try row.next()) }

    /// Keeps a message that nothing is recognised by.
    static let keepUnrecognised = Statement<InboundReceipt, String, [UInt8], String?, JSON>(
        "inbound.keep_unrecognised",
        """
        INSERT INTO drawbridge.inbound_messages (id, received_at, source, content, content_type, fields)
        VALUES (nextval('drawbridge.inbound_message_ids'), now(), $1, $2, $3, $4) RETURNING id
        """
    ) { row in InboundReceipt(id: try row.next(), isRepetition: false) }

    // MARK: Acting on them

    /// Claims so many that are due, those that have been due for longest: their attempts begin now, and whoever claims is given so
    /// long to say how they ended.
    static let claim = Statement<ClaimedMessage, Int32, Int64>(
        "inbound.claim",
        """
        WITH due AS (
            SELECT received_at, id FROM drawbridge.inbound_messages
            WHERE status IN ('pending', 'retrying') AND next_attempt_at <= now()
            ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        UPDATE drawbridge.inbound_messages AS message
        SET attempts = attempts + 1, claims = claims + 1, last_attempt_at = now(),
            next_attempt_at = now() + $2 * INTERVAL '1 millisecond'
        FROM due WHERE message.received_at = due.received_at AND message.id = due.id
        RETURNING message.id, message.received_at::TEXT, source, content, status, attempts, claims,
                  extract(epoch FROM now() - message.received_at)::FLOAT8
        """
    ) { row in try ClaimedMessage(&row) }

    /// What attempts came to, by number, day, claim, status, reason, wait in milliseconds, hotel. A claim that is not the last one
    /// counts no more: the numbers of those messages of which it was written down.
    static let settle = Statement<Int64, [Int64], [String], [Int32], [String], [String?], [Int64?], [Int32?]>(
        "inbound.settle",
        """
        UPDATE drawbridge.inbound_messages AS message
        SET status = outcome.status, reason = left(outcome.reason, 1000),
            next_attempt_at = now() + wait * INTERVAL '1 millisecond', ended_at = CASE WHEN wait IS NULL THEN now() END,
            hotel_id = COALESCE(outcome.hotel, hotel_id)
        FROM unnest($1, $2, $3, $4, $5, $6, $7) AS outcome (id, received_at, claims, status, reason, wait, hotel)
        WHERE message.received_at = outcome.received_at::TIMESTAMPTZ AND message.id = outcome.id
          AND message.claims = outcome.claims AND message.status IN ('pending', 'retrying')
        RETURNING message.id
        """
    ) { row in try row.next() }

    /// How many wait, counted to a bound so that a backlog does not make it worse, and for how many seconds the oldest has.
    static let figures = Statement<InboundFigures, Int64>(
        "inbound.figures",
        """
        SELECT count(*), COALESCE(extract(epoch FROM now() - min(received_at)), 0)::FLOAT8
        FROM (SELECT received_at FROM drawbridge.inbound_messages WHERE status IN ('pending', 'retrying') LIMIT $1) AS waiting
        """
    ) { row in InboundFigures(waiting: try row.next(), age: try row.next()) }

    // MARK: Looking at them

    private static let columns: StaticString = """
        SELECT message.id, message.source, message.received_at, key, content_type, octet_length(content), fields, hotel_id,
               status, reason, attempts, next_attempt_at, last_attempt_at, ended_at,
               COALESCE((SELECT repetitions FROM drawbridge.inbound_keys AS known
                         WHERE known.source = message.source AND known.key = message.key AND message_id = message.id), 0)
        FROM drawbridge.inbound_messages AS message
        """

    /// The newest first, before a number; nil: of every hotel, also those of which it is not known whose they are; of every source;
    /// however they stand.
    static let list = Statement<InboundRecord, [Int32]?, String?, String?, Int64, Int32>(
        "inbound.list", columns,
        """
        WHERE id < $4 AND ($1::int4[] IS NULL OR hotel_id = ANY ($1)) AND ($2::text IS NULL OR source = $2)
          AND ($3::text IS NULL OR status = $3)
        ORDER BY id DESC LIMIT $5
        """
    ) { row in try InboundRecord(&row) }

    static let find = Statement<InboundRecord, Int64, [Int32]?>(
        "inbound.find", columns, "WHERE id = $1 AND ($2::int4[] IS NULL OR hotel_id = ANY ($2))"
    ) { row in try InboundRecord(&row) }

    /// Lets one that has ended without being done be tried anew; gives a row where it was one.
    static let retry = Statement<Int64, Int64>(
        "inbound.retry",
        """
        UPDATE drawbridge.inbound_messages SET status = 'pending', attempts = 0, next_attempt_at = now(), ended_at = NULL
        WHERE id = $1 AND status IN ('rejected', 'dead') RETURNING id
        """
    ) { row in try row.next() }

    /// Hotel, message, how it stands then, request, actor.
    static let insertAudit = Statement<Void, Int32?, String, JSON, String, String>(
        "inbound.insert_audit",
        """
        INSERT INTO booking_engine_audit_log (hotel_id, action, entity_type, entity_id, response_data, status, request_id,
                                              actor)
        VALUES ($1, 'retry_inbound', 'inbound_message', $2, $3, 'success', $4, $5)
        """)

    // MARK: Retention

    static let makePartitions = Statement<Int32, Int32>(
        "inbound.make_partitions", "SELECT drawbridge.make_inbound_partitions($1)"
    ) { row in try row.next() }

    static let dropPartitions = Statement<Int32, Int32>(
        "inbound.drop_partitions", "SELECT drawbridge.drop_inbound_partitions($1)"
    ) { row in try row.next() }

    /// So many at a time. Of one that has come anew meanwhile the condition is looked at again, and it stays.
    static let deleteOldKeys = Statement<Void>(
        "inbound.delete_old_keys",
        """
        DELETE FROM drawbridge.inbound_keys WHERE (source, key) IN (
            SELECT source, key FROM drawbridge.inbound_keys
            WHERE received_at <= now() - INTERVAL '7 days' ORDER BY received_at LIMIT 1000)
          AND received_at <= now() - INTERVAL '7 days'
        """)
}

/// What a sender is told of its message.
struct InboundReceipt: Sendable {
    let id: Int64
    /// Whether it had come before.
    let isRepetition: Bool
}

/// A message that this bridge acts on.
struct ClaimedMessage: Sendable {
    let id: Int64
    /// When it was received, as the database writes it: names its day's partition.
    let receivedAt: String
    let source: String
    let content: [UInt8]
    let status: String
    let attempts: Int32
    let claims: Int32
    /// Seconds since it was received.
    let age: Double

    fileprivate init(_ row: inout RowDecoder) throws {
        id = try row.next()
        receivedAt = try row.next()
        source = try row.next()
        content = try row.next()
        status = try row.next()
        attempts = try row.next()
        claims = try row.next()
        age = try row.next()
    }
}

/// How many messages wait.
struct InboundFigures: Sendable {
    let waiting: Int64
    /// For how many seconds the oldest does.
    let age: Double
}

/// A message as an administrator sees it: all but its content.
struct InboundRecord: Sendable {
    let id: Int64
    let source: String
    let receivedAt: Instant
    let key: String?
    let contentType: String?
    let contentLength: Int32
    let fields: JSON
    let hotel: Int32?
    let status: String
    let reason: String?
    let attempts: Int32
    let nextAttemptAt: Instant?
    let lastAttemptAt: Instant?
    let endedAt: Instant?
    let repetitions: Int32

    fileprivate init(_ row: inout RowDecoder) throws {
        id = try row.next()
        source = try row.next()
        receivedAt = try row.next()
        key = try row.next()
        contentType = try row.next()
        contentLength = try row.next()
        fields = try row.next()
        hotel = try row.next()
        status = try row.next()
        reason = try row.next()
        attempts = try row.next()
        nextAttemptAt = try row.next()
        lastAttemptAt = try row.next()
        endedAt = try row.next()
        repetitions = try row.next()
    }

    func write(to json: inout JSONWriter) {
        json.member("id", Int(id))
        json.member("source", source)
        json.member("received_at", receivedAt.description)
        json.member("key", key)
        json.member("content_type", contentType)
        json.member("content_length", Int(contentLength))
        json.member("fields", raw: fields.text)
        json.member("hotel_id", hotel.map { Int($0) })
        json.member("status", status)
        json.member("reason", reason)
        json.member("attempts", Int(attempts))
        json.member("repetitions", Int(repetitions))
        json.member("last_attempt_at", lastAttemptAt?.description)
        json.member("next_attempt_at", nextAttemptAt?.description)
        json.member("ended_at", endedAt?.description)
    }
}
