internal import Booking
internal import PMS
internal import Postgres
internal import Webhook

/// What a fan-out has made of an event: a row for each endpoint that is told, or one alone where none is.
struct FannedOut: Sendable {
    /// Where a delivery is now.
    enum Place: String { case claimed, waiting, dead }

    let event: BookingID
    /// Of the event.
    let position: Int64
    let endpoint: EndpointID?
    let place: Place?
    /// Of the delivery that is claimed.
    let claimed: ClaimedDelivery?
}

/// A delivery that this dispatcher has in its hands.
struct ClaimedDelivery: Sendable {
    let id: BookingID
    let endpoint: EndpointID
    /// Of the endpoint, when it was claimed.
    let endpointVersion: Int32
    let event: BookingID
    let type: String
    let happenedAt: Instant
    /// Attempts that have been made.
    let attempts: Int
    /// The event as it is stored; empty where it is not kept any more.
    let payload: [UInt8]

    /// Whether there is something to send.
    var isKept: Bool { !payload.isEmpty }
}

/// The statements by which dispatchers take events and deliveries, and say what became of them.
enum DispatchStatements {
    // MARK: Events

    /// Takes events out of the outbox, and makes of each a delivery for every endpoint that is told of it: claimed by the
    /// session as far as there is room, or else waiting; a dead letter where the endpoint is disabled. What is to be delivered
    /// in order always waits at first.
    ///
    /// Its parameters are the session, how many events, after which position, the endpoints with less room than usual, how much
    /// each of them has, and how much is usual. A session that has ended takes nothing. An event whose id is kept already is
    /// the same event: it holds nobody up.
    static let fanOut = Statement<FannedOut, Int64, Int32, Int64, [BookingID], [Int32], Int32>(
        "bridge.fan_out",
        """
        WITH me AS MATERIALIZED (
            SELECT session FROM drawbridge.webhook_dispatchers WHERE session = $1 FOR KEY SHARE
        ), next AS MATERIALIZED (
            SELECT position FROM drawbridge.outbox_events
            WHERE position > $3 AND EXISTS (SELECT FROM me) ORDER BY position LIMIT $2 FOR UPDATE SKIP LOCKED
        ), taken AS MATERIALIZED (
            DELETE FROM drawbridge.outbox_events WHERE position = ANY (ARRAY(SELECT position FROM next))
            RETURNING event_id, position, type, hotel_id, client, entity_id, version, payload, created_at
        ), kept AS (
            INSERT INTO drawbridge.webhook_events (event_id, position, type, hotel_id, client, entity_id, version, payload,
                                                   created_at)
            SELECT * FROM taken ON CONFLICT DO NOTHING
        ), told AS MATERIALIZED (
            SELECT drawbridge.time_ordered_id() AS delivery_id, taken.event_id, taken.position, endpoint.id AS endpoint_id,
                   endpoint.version AS endpoint_version,
                   CASE WHEN endpoint.is_ordered THEN taken.entity_id END AS sequence_key,
                   CASE WHEN endpoint.disabled_at IS NOT NULL THEN 'dead'
                        WHEN endpoint.is_ordered THEN 'waiting'
                        WHEN row_number() OVER (PARTITION BY endpoint.id ORDER BY taken.position) <= COALESCE(
                            (SELECT room FROM unnest($4::uuid[], $5::int4[]) AS scarce (id, room)
                             WHERE scarce.id = endpoint.id), $6) THEN 'claimed'
                        ELSE 'waiting' END AS place
            FROM taken JOIN drawbridge.webhook_endpoints AS endpoint
                ON taken.type = ANY (endpoint.events)
               AND (endpoint.hotel_ids IS NULL OR endpoint.hotel_ids @> ARRAY[taken.hotel_id]
                    OR taken.client = endpoint.client)
               AND (taken.client IS NULL OR taken.client = endpoint.client)
        ), delivery AS (
            INSERT INTO drawbridge.webhook_deliveries (delivery_id, event_id, endpoint_id, origin)
            SELECT delivery_id, event_id, endpoint_id, 'event' FROM told
        ), claimed AS (
            INSERT INTO drawbridge.webhook_claims (delivery_id, endpoint_id, event_id, position, sequence_key, attempts,
                                                   session)
            SELECT delivery_id, endpoint_id, event_id, position, sequence_key, 0, $1 FROM told WHERE place = 'claimed'
        ), waiting AS (
            INSERT INTO drawbridge.webhook_waiting (delivery_id, endpoint_id, event_id, position, sequence_key, attempts,
                                                    due_at)
            SELECT delivery_id, endpoint_id, event_id, position, sequence_key, 0, now() FROM told WHERE place = 'waiting'
        ), dead AS (
            INSERT INTO drawbridge.webhook_dead_letters (delivery_id, endpoint_id, event_id, position, reason)
            SELECT delivery_id, endpoint_id, event_id, position, 'endpoint_disabled' FROM told WHERE place = 'dead'
        ), counted AS (
            INSERT INTO drawbridge.webhook_counts (depth, dead_letters)
            SELECT count(*) FILTER (WHERE place <> 'dead'), count(*) FILTER (WHERE place = 'dead')
            FROM told HAVING count(*) > 0
        )
        SELECT taken.event_id, taken.position, told.delivery_id, told.endpoint_id, told.place, told.endpoint_version,
               taken.type, taken.created_at,
               CASE told.place WHEN 'claimed' THEN convert_to(taken.payload::TEXT, 'UTF8') END
        FROM taken LEFT JOIN told ON told.event_id = taken.event_id ORDER BY taken.position
        """
    ) { row in
        let (event, position): (BookingID, Int64) = (try row.next(), try row.next())
        let (delivery, endpoint): (BookingID?, EndpointID?) = (try row.next(), try row.next())
        let (place, version, type): (String?, Int32?, String) = (try row.next(), try row.next(), try row.next())
        let (happenedAt, payload): (Instant, [UInt8]?) = (try row.next(), try row.next())
        var claimed: ClaimedDelivery?
        if let delivery, let endpoint, let version, let payload {
            claimed = ClaimedDelivery(
                id: delivery, endpoint: endpoint, endpointVersion: version, event: event, type: type,
                happenedAt: happenedAt, attempts: 0, payload: payload)
        }
        return FannedOut(
            event: event, position: position, endpoint: endpoint, place: place.flatMap(FannedOut.Place.init),
            claimed: claimed)
    }

    // MARK: Deliveries

    /// Claims what is due of some endpoints that are not disabled, for each as much as there is room, the longest due first. Of
    /// what is delivered in order, only what nothing comes before: neither in the outbox, nor waiting, nor claimed.
    static let claim = Statement<ClaimedDelivery, Int64, [BookingID], [Int32]>(
        "bridge.claim_deliveries",
        """
        WITH me AS MATERIALIZED (
            SELECT session FROM drawbridge.webhook_dispatchers WHERE session = $1 FOR KEY SHARE
        ), next AS MATERIALIZED (
            SELECT due.delivery_id FROM unnest($2::uuid[], $3::int4[]) AS asked (endpoint_id, room)
            CROSS JOIN LATERAL (
                SELECT waiting.delivery_id FROM drawbridge.webhook_waiting AS waiting
                WHERE waiting.endpoint_id = asked.endpoint_id AND waiting.due_at <= now()
                  AND EXISTS (SELECT FROM me)
                  AND EXISTS (SELECT FROM drawbridge.webhook_endpoints AS endpoint
                              WHERE endpoint.id = asked.endpoint_id AND endpoint.disabled_at IS NULL)
                  AND (waiting.sequence_key IS NULL OR (
                      NOT EXISTS (SELECT FROM drawbridge.webhook_waiting AS earlier
                                  WHERE earlier.endpoint_id = waiting.endpoint_id
                                    AND earlier.sequence_key = waiting.sequence_key
                                    AND earlier.position < waiting.position)
                      AND NOT EXISTS (SELECT FROM drawbridge.webhook_claims AS claimed
                                      WHERE claimed.endpoint_id = waiting.endpoint_id
                                        AND claimed.sequence_key = waiting.sequence_key)
                      AND NOT EXISTS (SELECT FROM drawbridge.outbox_events AS outbox
                                      WHERE outbox.entity_id = waiting.sequence_key
                                        AND outbox.position < waiting.position)))
                ORDER BY waiting.due_at, waiting.position LIMIT asked.room FOR UPDATE OF waiting SKIP LOCKED
            ) AS due
        ), taken AS MATERIALIZED (
            DELETE FROM drawbridge.webhook_waiting
            WHERE delivery_id = ANY (ARRAY(SELECT delivery_id FROM next))
            RETURNING delivery_id, endpoint_id, event_id, position, sequence_key, attempts
        ), claimed AS (
            INSERT INTO drawbridge.webhook_claims (delivery_id, endpoint_id, event_id, position, sequence_key, attempts,
                                                   session)
            SELECT taken.*, $1 FROM taken
        )
        SELECT taken.delivery_id, taken.endpoint_id, endpoint.version, taken.event_id, COALESCE(event.type, ''),
               COALESCE(event.created_at, now()), taken.attempts, COALESCE(event.payload, '')
        FROM taken
        JOIN drawbridge.webhook_endpoints AS endpoint ON endpoint.id = taken.endpoint_id
        LEFT JOIN LATERAL (
            SELECT type, created_at, convert_to(payload::TEXT, 'UTF8') AS payload
            FROM drawbridge.webhook_events AS event WHERE event.event_id = taken.event_id OFFSET 0
        ) AS event ON TRUE
        ORDER BY taken.position
        """
    ) { row in
        let (id, endpoint, version): (BookingID, EndpointID, Int32) = (try row.next(), try row.next(), try row.next())
        let (event, type, happenedAt): (BookingID, String, Instant) = (try row.next(), try row.next(), try row.next())
        let attempts: Int16 = try row.next()
        return ClaimedDelivery(
            id: id, endpoint: endpoint, endpointVersion: version, event: event, type: type, happenedAt: happenedAt,
            attempts: Int(attempts), payload: try row.next())
    }

    /// Endpoints, not disabled, for which something is due: one look at each of them, however much that is.
    static let due = Statement<EndpointID>(
        "bridge.endpoints_due",
        """
        SELECT id FROM drawbridge.webhook_endpoints AS endpoint CROSS JOIN LATERAL (
            SELECT FROM drawbridge.webhook_waiting AS waiting
            WHERE waiting.endpoint_id = endpoint.id AND due_at <= now() LIMIT 1) AS due
        WHERE disabled_at IS NULL
        """
    ) { row in try row.next() }

    private static let settleAll = Statement<
        BookingID, Int64, [BookingID], [String], [Int64], [Int64], [Int16?], [String?], [String?], [UInt8], [Int32],
        [Int32],
        [String?], [String?], [String?], [Bool], [Int32], [Int32], [Int32], [Int32], [Int32]
    >(
        "bridge.settle_deliveries",
        """
        WITH done AS MATERIALIZED (
            SELECT * FROM unnest($2::uuid[], $3::text[], $4::int8[], $5::int8[], $6::int2[], $7::text[], $8::text[],
                                 $10::int4[], $11::int4[], $12::text[], $13::text[], $14::text[], $15::bool[],
                                 $16::int4[], $17::int4[], $18::int4[], $19::int4[], $20::int4[])
                AS done (delivery_id, result, wait, started, status, error, message, answer_start, answer_length,
                         answer_ending, address, http_version, is_reused, name_us, connect_us, tls_us, first_byte_us,
                         total_us)
        ), ended AS MATERIALIZED (
            DELETE FROM drawbridge.webhook_claims WHERE delivery_id = ANY ($2) AND session = $1
            RETURNING delivery_id, endpoint_id, event_id, position, sequence_key, attempts
        ), attempt AS (
            INSERT INTO drawbridge.webhook_attempts (delivery_id, number, started_at, result, status, error, message, answer,
                                                     answer_ending, address, http_version, is_reused, name_us, connect_us,
                                                     tls_us, first_byte_us, total_us)
            SELECT delivery_id, attempts + 1, TIMESTAMPTZ 'epoch' + started * INTERVAL '1 microsecond', result, status, error,
                   message, CASE WHEN answer_length > 0 THEN substring($9 FROM answer_start + 1 FOR answer_length) END,
                   answer_ending, address, http_version, is_reused, name_us, connect_us, tls_us, first_byte_us, total_us
            FROM done JOIN ended USING (delivery_id) WHERE result IN ('delivered', 'retry', 'dead', 'gone')
        ), waiting AS (
            INSERT INTO drawbridge.webhook_waiting (delivery_id, endpoint_id, event_id, position, sequence_key, attempts,
                                                    due_at)
            SELECT delivery_id, endpoint_id, event_id, position, sequence_key,
                   attempts + CASE result WHEN 'retry' THEN 1 ELSE 0 END, now() + wait * INTERVAL '1 millisecond'
            FROM done JOIN ended USING (delivery_id) WHERE result IN ('retry', 'release')
        ), dead AS (
            INSERT INTO drawbridge.webhook_dead_letters (delivery_id, endpoint_id, event_id, position, reason)
            SELECT delivery_id, endpoint_id, event_id, position,
                   CASE result WHEN 'dead' THEN 'exhausted' ELSE 'endpoint_disabled' END
            FROM done JOIN ended USING (delivery_id) WHERE result IN ('dead', 'gone', 'disabled')
        ), recovered AS (
            DELETE FROM drawbridge.webhook_failures WHERE endpoint_id = ANY (ARRAY(
                SELECT endpoint_id FROM done JOIN ended USING (delivery_id) WHERE result = 'delivered'))
        ), counted AS (
            INSERT INTO drawbridge.webhook_counts (depth, dead_letters)
            SELECT -count(*), count(*) FILTER (WHERE result IN ('dead', 'gone', 'disabled'))
            FROM done JOIN ended USING (delivery_id) WHERE result NOT IN ('retry', 'release') HAVING count(*) > 0
        )
        SELECT delivery_id FROM ended
        """
    ) { row in try row.next() }

    /// Says what became of deliveries that a session has claimed; gives those that it still had. What has arrived ends what is
    /// written down of its endpoint's failures.
    static func settle(_ all: [Settlement], of session: Int64) -> Query<BookingID> {
        var (answers, starts): ([UInt8], [Int32]) = ([], [])
        for settlement in all {
            starts.append(Int32(answers.count))
            answers += settlement.attempt.answer
        }
        let attempts = all.map(\.attempt)
        return settleAll(
            session, all.map(\.delivery), all.map(\.result.rawValue), all.map(\.wait), attempts.map(\.startedAt),
            attempts.map(\.status), attempts.map(\.error), attempts.map(\.message), answers, starts,
            attempts.map { Int32($0.answer.count) }, attempts.map(\.ending), attempts.map(\.address),
            attempts.map(\.version), attempts.map(\.isReused), attempts.map(\.name), attempts.map(\.connect),
            attempts.map(\.tls), attempts.map(\.firstByte), attempts.map(\.total))
    }

    // MARK: Sessions

    static let begin = Statement<Int64>(
        "bridge.begin_dispatcher", "INSERT INTO drawbridge.webhook_dispatchers DEFAULT VALUES RETURNING session"
    ) { row in try row.next() }

    /// Says that a session goes on, and adds up what was counted, unless another does so; gives a row if it does go on.
    static let heartbeat = Statement<Int64, Int64>(
        "bridge.dispatcher_heartbeat",
        """
        WITH me AS MATERIALIZED (
            SELECT session FROM drawbridge.webhook_dispatchers WHERE session = $1 FOR NO KEY UPDATE
        ), counted AS (
            DELETE FROM drawbridge.webhook_counts
            WHERE EXISTS (SELECT FROM me)
              AND (SELECT pg_try_advisory_xact_lock(hashtextextended('drawbridge webhook counts', 0)))
            RETURNING depth, dead_letters
        ), total AS (
            SELECT COALESCE(sum(depth), 0)::INT8 AS depth, COALESCE(sum(dead_letters), 0)::INT8 AS dead_letters FROM counted
        )
        UPDATE drawbridge.webhook_dispatchers AS dispatcher
        SET heartbeat_at = clock_timestamp(), depth = dispatcher.depth + total.depth,
            dead_letters = dispatcher.dead_letters + total.dead_letters
        FROM total WHERE session = $1 RETURNING session
        """
    ) { row in try row.next() }

    /// Ends this session, or those that have not been heard of for so many milliseconds; what they have counted stays.
    static let end = Statement<Int64, Int64?, Int64?>(
        "bridge.end_dispatchers",
        """
        WITH ended AS (
            DELETE FROM drawbridge.webhook_dispatchers
            WHERE session = $1 OR heartbeat_at < clock_timestamp() - $2 * INTERVAL '1 millisecond'
            RETURNING session, depth, dead_letters
        ), counted AS (
            UPDATE drawbridge.webhook_dispatchers AS dispatcher
            SET depth = dispatcher.depth + total.depth, dead_letters = dispatcher.dead_letters + total.dead_letters
            FROM (SELECT sum(depth)::INT8 AS depth, sum(dead_letters)::INT8 AS dead_letters FROM ended) AS total
            WHERE session = 0 AND total.depth IS NOT NULL
        )
        SELECT session FROM ended
        """
    ) { row in try row.next() }

    /// Lets others have what these sessions have claimed. A statement of its own, after `end`: what they have claimed until then
    /// is seen by no statement that began before.
    static let free = Statement<Void, [Int64]>(
        "bridge.free_claims",
        """
        WITH freed AS (
            DELETE FROM drawbridge.webhook_claims WHERE session = ANY ($1)
            RETURNING delivery_id, endpoint_id, event_id, position, sequence_key, attempts
        )
        INSERT INTO drawbridge.webhook_waiting (delivery_id, endpoint_id, event_id, position, sequence_key, attempts, due_at)
        SELECT freed.*, now() FROM freed
        """)

    /// How many deliveries have not ended, how many dead letters there are, and for how long the one has been due that has been
    /// longest, in seconds.
    static let figures = Statement<(depth: Int64, deadLetters: Int64, age: Double)>(
        "bridge.delivery_figures",
        """
        SELECT (sum(depth) + (SELECT COALESCE(sum(depth), 0) FROM drawbridge.webhook_counts))::INT8,
               (sum(dead_letters) + (SELECT COALESCE(sum(dead_letters), 0) FROM drawbridge.webhook_counts))::INT8,
               COALESCE(GREATEST(
                   extract(epoch FROM now() - (SELECT due_at FROM drawbridge.webhook_waiting ORDER BY due_at LIMIT 1)),
                   extract(epoch FROM now() - (SELECT created_at FROM drawbridge.outbox_events ORDER BY position LIMIT 1)),
                   0), 0)::FLOAT8
        FROM drawbridge.webhook_dispatchers
        """
    ) { row in (try row.next(), try row.next(), try row.next()) }

    // MARK: Tables

    static let emptySlots = Statement<Int32>("bridge.empty_slots", "SELECT drawbridge.empty_slots()") { row in
        try row.next()
    }

    static let makePartitions = Statement<Int32, Int32>(
        "bridge.make_webhook_partitions", "SELECT drawbridge.make_webhook_partitions($1)"
    ) { row in try row.next() }

    static let dropPartitions = Statement<Int32, Int32>(
        "bridge.drop_webhook_partitions", "SELECT drawbridge.drop_webhook_partitions($1)"
    ) { row in try row.next() }
}
