internal import Booking
internal import PMS
internal import Postgres
internal import Webhook

/// A delivery as it stands.
struct DeliveryRecord: Sendable {
    let id: TimeOrderedID
    let endpoint: EndpointID
    let event: TimeOrderedID
    /// What it was made for, in the words of `webhook_deliveries.origin`.
    let origin: String
    let state: String
    /// When it is tried next; nil unless it waits.
    let dueAt: Instant?
    /// Why it is a dead letter, and since when; nil unless it is.
    let reason: String?
    let diedAt: Instant?
    /// The event's; nil where that is not kept any more.
    let type: String?
    /// The hotel that the event is about; nil where it is about none in particular.
    let hotel: Int32?
    /// How many have been made.
    let attempts: Int16
    /// The last of them.
    let lastAttemptAt: Instant?
    let lastStatus: Int16?
    let lastError: String?

    fileprivate init(_ row: inout RowDecoder) throws {
        id = try row.next()
        endpoint = try row.next()
        event = try row.next()
        origin = try row.next()
        state = try row.next()
        dueAt = try row.next()
        reason = try row.next()
        diedAt = try row.next()
        type = try row.next()
        hotel = try row.next()
        attempts = try row.next()
        lastAttemptAt = try row.next()
        lastStatus = try row.next()
        lastError = try row.next()
    }
}

/// What a delivery tells.
struct DeliveredEvent: Sendable {
    let type: String
    let hotel: Int32?
    let createdAt: Instant
    /// As it was stored: type, timestamp, data.
    let payload: JSON
}

/// One attempt at a delivery.
struct AttemptRecord: Sendable {
    let number: Int16
    let startedAt: Instant
    /// What was decided after it, in the words of `webhook_attempts.result`.
    let result: String
    let status: Int16?
    let error: String?
    let message: String?
    /// The first 16 KiB of what the receiver answered.
    let answer: [UInt8]?
    /// What became of the rest, in the words of `Reply.Ending`.
    let answerEnding: String?
    let address: String?
    let version: String?
    let isReused: Bool
    /// Microseconds from the beginning until each was done; zero for what did not happen.
    let name: Int32
    let connect: Int32
    let tls: Int32
    let firstByte: Int32
    let total: Int32

    fileprivate init(_ row: inout RowDecoder) throws {
        number = try row.next()
        startedAt = try row.next()
        result = try row.next()
        status = try row.next()
        error = try row.next()
        message = try row.next()
        answer = try row.next()
        answerEnding = try row.next()
        address = try row.next()
        version = try row.next()
        isReused = try row.next()
        name = try row.next()
        connect = try row.next()
        tls = try row.next()
        firstByte = try row.next()
        total = try row.next()
    }
}

/// Dead letters of an endpoint that are tried again.
struct RevivedLetters: Sendable {
    let endpoint: EndpointID
    /// The hotel that the endpoint is for, where it is one.
    let hotel: Int32?
    let count: Int32
}

/// The statements on deliveries, by what migration 15 makes for them.
///
/// Whose they are, and of which hotels, is asked for as `WebhookStatements.find` does: a client or any, hotels or any.
enum DeliveryStatements {
    /// The columns of `DeliveryRecord`.
    private static let columns: StaticString = """
        SELECT states.delivery_id, states.endpoint_id, states.event_id, states.origin, states.state, states.due_at,
               states.reason, states.died_at, states.type, states.hotel_id, states.attempts, states.last_attempt_at,
               states.last_status, states.last_error
        FROM drawbridge.webhook_delivery_states AS states
        """

    // MARK: Reading

    /// An endpoint's deliveries before an id, from another on, the newest first, so many: those that are to be looked at where a
    /// state is asked for. Where that has a table of its own they are found there.
    static let ids = Statement<TimeOrderedID, EndpointID, TimeOrderedID, TimeOrderedID, String?, Int32>(
        "bridge.list_delivery_ids",
        """
        SELECT delivery_id FROM (
            (SELECT delivery_id FROM drawbridge.webhook_deliveries
             WHERE endpoint_id = $1 AND delivery_id < $2 AND delivery_id >= $3
               AND ($4::text IS NULL OR $4 NOT IN ('sending', 'waiting', 'dead'))
             ORDER BY delivery_id DESC LIMIT $5)
            UNION ALL
            (SELECT delivery_id FROM drawbridge.webhook_claims
             WHERE endpoint_id = $1 AND delivery_id < $2 AND delivery_id >= $3 AND $4 = 'sending'
             ORDER BY delivery_id DESC LIMIT $5)
            UNION ALL
            (SELECT delivery_id FROM drawbridge.webhook_waiting
             WHERE endpoint_id = $1 AND delivery_id < $2 AND delivery_id >= $3 AND $4 = 'waiting'
             ORDER BY delivery_id DESC LIMIT $5)
            UNION ALL
            (SELECT delivery_id FROM drawbridge.webhook_dead_letters
             WHERE endpoint_id = $1 AND delivery_id < $2 AND delivery_id >= $3 AND $4 = 'dead'
             ORDER BY delivery_id DESC LIMIT $5)
        ) AS found ORDER BY delivery_id DESC LIMIT $5
        """
    ) { row in try row.next() }

    /// Dead letters, likewise: whose, of which hotels, of an endpoint or any, for a reason or any.
    static let deadLetterIDs = Statement<
        TimeOrderedID, String?, [Int32]?, EndpointID?, String?, TimeOrderedID, TimeOrderedID, Int32
    >(
        "bridge.list_dead_letter_ids",
        """
        SELECT letter.delivery_id
        FROM drawbridge.webhook_endpoints AS endpoint CROSS JOIN LATERAL (
            SELECT delivery_id FROM drawbridge.webhook_dead_letters
            WHERE endpoint_id = endpoint.id AND delivery_id < $5 AND delivery_id >= $6
              AND ($4::text IS NULL OR reason = $4)
            ORDER BY delivery_id DESC LIMIT $7) AS letter
        WHERE ($1::text IS NULL OR client = $1) AND ($2::int4[] IS NULL OR hotel_ids <@ $2)
          AND ($3::uuid IS NULL OR endpoint.id = $3)
        ORDER BY letter.delivery_id DESC LIMIT $7
        """
    ) { row in try row.next() }

    /// Of these the first so many that tell of such an event, or any, and stand so, or anyhow.
    static let list = Statement<DeliveryRecord, [TimeOrderedID], String?, String?, Int32>(
        "bridge.list_deliveries", columns,
        """
        WHERE delivery_id = ANY ($1) AND ($2::text IS NULL OR type = $2) AND ($3::text IS NULL OR state = $3)
        ORDER BY delivery_id DESC LIMIT $4
        """
    ) { row in try DeliveryRecord(&row) }

    static let find = Statement<DeliveryRecord, TimeOrderedID, String?, [Int32]?>(
        "bridge.find_delivery", columns,
        """
        JOIN drawbridge.webhook_endpoints AS endpoint ON endpoint.id = states.endpoint_id
        WHERE delivery_id = $1 AND ($2::text IS NULL OR client = $2) AND ($3::int4[] IS NULL OR hotel_ids <@ $3)
        """
    ) { row in try DeliveryRecord(&row) }

    static let event = Statement<DeliveredEvent, TimeOrderedID>(
        "bridge.delivered_event",
        "SELECT type, hotel_id, created_at, payload FROM drawbridge.webhook_events WHERE event_id = $1"
    ) { row in
        DeliveredEvent(
            type: try row.next(), hotel: try row.next(), createdAt: try row.next(), payload: try row.next())
    }

    /// All of a delivery, the first one first: there are 100 at most.
    static let attempts = Statement<AttemptRecord, TimeOrderedID>(
        "bridge.delivery_attempts",
        """
        SELECT number, started_at, result, status, error, message, answer, answer_ending, address, http_version, is_reused,
               name_us, connect_us, tls_us, first_byte_us, total_us
        FROM drawbridge.webhook_attempts WHERE delivery_id = $1 ORDER BY number
        """
    ) { row in try AttemptRecord(&row) }

    // MARK: Deciding

    /// What came of it, in the words of `drawbridge.retry_webhook_delivery`.
    static let retry = Statement<String?, TimeOrderedID>(
        "bridge.retry_delivery", "SELECT drawbridge.retry_webhook_delivery($1)"
    ) { row in try row.next() }

    /// What came of it, in the words of `drawbridge.abandon_webhook_delivery`.
    static let abandon = Statement<String?, TimeOrderedID>(
        "bridge.abandon_delivery", "SELECT drawbridge.abandon_webhook_delivery($1)"
    ) { row in try row.next() }

    /// A disabled endpoint that some of these dead letters are of.
    static let disabledEndpoint = Statement<EndpointID, String?, [Int32]?, [TimeOrderedID]>(
        "bridge.disabled_endpoint_of_dead_letters",
        """
        SELECT endpoint.id FROM drawbridge.webhook_dead_letters AS letter
        JOIN drawbridge.webhook_endpoints AS endpoint ON endpoint.id = letter.endpoint_id
        WHERE delivery_id = ANY ($3) AND disabled_at IS NOT NULL
          AND ($1::text IS NULL OR client = $1) AND ($2::int4[] IS NULL OR hotel_ids <@ $2)
        LIMIT 1
        """
    ) { row in try row.next() }

    /// The parameters of `drawbridge.retry_webhook_dead_letters`.
    private static let retryLetters = Statement<
        RevivedLetters, String?, [Int32]?, EndpointID?, [TimeOrderedID]?, String?, TimeOrderedID?, TimeOrderedID?,
        [String]?, Int32
    >(
        "bridge.retry_dead_letters",
        """
        SELECT revived.endpoint, CASE WHEN cardinality(hotel_ids) = 1 THEN hotel_ids[1] END, revived.retried
        FROM drawbridge.retry_webhook_dead_letters($1, $2, $3, $4, $5, $6, $7, $8, $9) AS revived
        JOIN drawbridge.webhook_endpoints AS endpoint ON endpoint.id = revived.endpoint
        """
    ) { row in RevivedLetters(endpoint: try row.next(), hotel: try row.next(), count: try row.next()) }

    static func retryDeadLetters(
        of owner: String?, _ hotels: [Int32]?, _ selection: DeadLetterSelection, bound: Int32
    ) -> Query<RevivedLetters> {
        retryLetters(
            owner, hotels, selection.endpoint, selection.ids, selection.reason?.rawValue,
            selection.since.map { .first(at: $0) }, selection.until.map { .first(at: $0) },
            selection.events?.map(\.rawValue), bound)
    }

    /// Sends an endpoint a test: the delivery and its event; nil where the endpoint is disabled.
    static let test = Statement<(delivery: TimeOrderedID?, event: TimeOrderedID?), EndpointID>(
        "bridge.test_webhook", "SELECT delivery, event FROM drawbridge.test_webhook($1)"
    ) { row in (delivery: try row.next(), event: try row.next()) }

    // MARK: Retention

    /// Dead letters whose deliveries are of days that are not kept, so many at a time.
    static let removeOldDeadLetters = Statement<Void, Int32>(
        "bridge.remove_old_webhook_dead_letters",
        """
        WITH removed AS (
            DELETE FROM drawbridge.webhook_dead_letters WHERE delivery_id IN (
                SELECT delivery_id FROM drawbridge.webhook_dead_letters
                WHERE delivery_id < drawbridge.first_id(
                    date_trunc('day', now(), 'UTC') - make_interval(days => GREATEST($1, 1)))
                ORDER BY delivery_id LIMIT 1000 FOR UPDATE SKIP LOCKED)
            RETURNING delivery_id
        )
        UPDATE drawbridge.webhook_dispatchers SET dead_letters = dead_letters - removed.count
        FROM (SELECT count(*) AS count FROM removed) AS removed WHERE session = 0 AND removed.count > 0
        """)
}
