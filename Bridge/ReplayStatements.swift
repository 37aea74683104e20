internal import Booking
internal import PMS
internal import Postgres
internal import Webhook

/// Events that have gone by and are delivered anew, as far as that has come.
struct ReplayRecord: Sendable {
    let id: TimeOrderedID
    let endpoint: EndpointID
    let since: Instant
    let until: Instant
    /// Nil for all that the endpoint is told of.
    let events: [String]?
    /// The event up to which everything is done.
    let cursor: TimeOrderedID
    let replayed: Int64
    /// In the words of `webhook_replays.state`.
    let state: String
    let createdAt: Instant
    let endedAt: Instant?

    fileprivate init(_ row: inout RowDecoder) throws {
        id = try row.next()
        endpoint = try row.next()
        since = try row.next()
        until = try row.next()
        events = try row.next()
        cursor = try row.next()
        replayed = try row.next()
        state = try row.next()
        createdAt = try row.next()
        endedAt = try row.next()
    }
}

/// What a step of a replay has made.
struct ReplayStep: Sendable {
    let replay: TimeOrderedID
    let state: String
    /// Deliveries.
    let count: Int64
}

/// The statements on `drawbridge.webhook_replays`; `drawbridge webhook replay` writes one, too.
enum ReplayStatements {
    /// The columns of `ReplayRecord`.
    private static let columns: StaticString = """
        id, endpoint_id, since, until, events, cursor, replayed, state, created_at, ended_at
        """

    /// Endpoint, from when, until when, which events or all, the id behind which it begins, who wants it.
    static let insert = Statement<ReplayRecord, EndpointID, Instant, Instant, [String]?, TimeOrderedID, String>(
        "bridge.insert_replay",
        """
        INSERT INTO drawbridge.webhook_replays (id, endpoint_id, since, until, events, cursor, asked_by)
        VALUES (drawbridge.time_ordered_id(), $1, $2, $3, $4, $5, $6) RETURNING
        """, columns
    ) { row in try ReplayRecord(&row) }

    static let find = Statement<ReplayRecord, TimeOrderedID, EndpointID>(
        "bridge.find_replay", "SELECT", columns,
        "FROM drawbridge.webhook_replays WHERE id = $1 AND endpoint_id = $2"
    ) { row in try ReplayRecord(&row) }

    /// Deliveries that may wait for an endpoint; while there are more, its replay makes no others, so that what happens now
    /// does not stand behind all that has gone by, and a slow endpoint does not fill the database with it, however often it
    /// is replayed.
    private static let waitingBound: StaticString = "2000"

    /// Takes a replay that nobody is at and whose endpoint has room, looks at so many of its events, makes deliveries of those
    /// that its endpoint is told of as if they happened now, and writes down how far it has come, all of it or nothing. No
    /// row where there is none.
    ///
    /// Which those are is decided as when events are first sent.
    static let advance = Statement<ReplayStep, Int32>(
        "bridge.advance_replay",
        """
        WITH job AS MATERIALIZED (
            SELECT replay.id, replay.endpoint_id, replay.cursor, drawbridge.first_id(replay.until) AS stop,
                   replay.events, endpoint.events AS subscribed, endpoint.hotel_ids, endpoint.client, endpoint.is_ordered,
                   endpoint.disabled_at IS NULL AS is_enabled
            FROM drawbridge.webhook_replays AS replay
            JOIN drawbridge.webhook_endpoints AS endpoint ON endpoint.id = replay.endpoint_id
            WHERE replay.state = 'running'
              AND (endpoint.disabled_at IS NOT NULL
                   OR NOT EXISTS (SELECT FROM drawbridge.webhook_waiting WHERE endpoint_id = replay.endpoint_id OFFSET
        """, waitingBound,
        """
                   ))
            ORDER BY replay.worked_at LIMIT 1 FOR UPDATE OF replay SKIP LOCKED
        ), examined AS MATERIALIZED (
            SELECT event.* FROM job CROSS JOIN LATERAL (
                SELECT event_id, position, type, hotel_id, client, entity_id FROM drawbridge.webhook_events
                WHERE event_id > job.cursor AND event_id < job.stop ORDER BY event_id LIMIT $1) AS event
            WHERE job.is_enabled
        ), made AS MATERIALIZED (
            SELECT drawbridge.time_ordered_id() AS delivery_id, job.endpoint_id, event.event_id, event.position,
                   CASE WHEN job.is_ordered THEN event.entity_id END AS sequence_key
            FROM job CROSS JOIN examined AS event
            WHERE event.type = ANY (job.subscribed) AND (job.events IS NULL OR event.type = ANY (job.events))
              AND (job.hotel_ids IS NULL OR event.hotel_id = ANY (job.hotel_ids) OR event.client = job.client)
              AND (event.client IS NULL OR event.client = job.client)
        ), delivered AS (
            INSERT INTO drawbridge.webhook_deliveries (delivery_id, event_id, endpoint_id, origin)
            SELECT delivery_id, event_id, endpoint_id, 'replay' FROM made
        ), queued AS (
            INSERT INTO drawbridge.webhook_waiting (delivery_id, endpoint_id, event_id, position, sequence_key, attempts,
                                                    due_at)
            SELECT delivery_id, endpoint_id, event_id, position, sequence_key, 0, now() FROM made
        ), counted AS (
            UPDATE drawbridge.webhook_dispatchers SET depth = depth + made.count
            FROM (SELECT count(*) AS count FROM made) AS made WHERE session = 0 AND made.count > 0
        ), step AS (
            SELECT job.id, COALESCE(examined.last, job.cursor) AS cursor, (SELECT count(*) FROM made) AS count,
                   CASE WHEN NOT job.is_enabled THEN 'stopped' WHEN examined.count < $1 THEN 'done' ELSE 'running' END
                       AS state
            FROM job CROSS JOIN (
                SELECT count(*) AS count, (array_agg(event_id ORDER BY event_id DESC))[1] AS last FROM examined) AS examined
        )
        UPDATE drawbridge.webhook_replays AS replay
        SET cursor = step.cursor, replayed = replayed + step.count, state = step.state, worked_at = clock_timestamp(),
            ended_at = CASE WHEN step.state <> 'running' THEN now() END
        FROM step WHERE replay.id = step.id
        RETURNING step.id, step.state, step.count
        """
    ) { row in ReplayStep(replay: try row.next(), state: try row.next(), count: try row.next()) }

    /// Replays that ended so many days ago, so many at a time.
    static let removeOld = Statement<Void, Int32>(
        "bridge.remove_old_replays",
        """
        DELETE FROM drawbridge.webhook_replays WHERE id IN (
            SELECT id FROM drawbridge.webhook_replays
            WHERE state <> 'running' AND ended_at < now() - make_interval(days => $1)
            ORDER BY ended_at LIMIT 1000 FOR UPDATE SKIP LOCKED)
        """)
}
