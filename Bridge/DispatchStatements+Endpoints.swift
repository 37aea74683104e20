internal import Booking
internal import PMS
internal import Postgres
internal import Webhook

/// What dispatchers ask and write of endpoints.
extension DispatchStatements {
    /// The versions of some endpoints, as far as they are there.
    static let versions = Statement<(EndpointID, Int32), [BookingID]>(
        "bridge.webhook_versions", "SELECT id, version FROM drawbridge.webhook_endpoints WHERE id = ANY ($1)"
    ) { row in (try row.next(), try row.next()) }

    /// Makes dead letters of what waits for endpoints that are disabled, so many of each at a time; gives how many.
    static let sweep = Statement<Int64>(
        "bridge.sweep_waiting",
        """
        WITH next AS MATERIALIZED (
            SELECT due.delivery_id FROM drawbridge.webhook_endpoints AS endpoint CROSS JOIN LATERAL (
                SELECT delivery_id FROM drawbridge.webhook_waiting AS waiting WHERE waiting.endpoint_id = endpoint.id
                LIMIT 1000 FOR UPDATE SKIP LOCKED) AS due
            WHERE endpoint.disabled_at IS NOT NULL
        ), taken AS MATERIALIZED (
            DELETE FROM drawbridge.webhook_waiting WHERE delivery_id = ANY (ARRAY(SELECT delivery_id FROM next))
            RETURNING delivery_id, endpoint_id, event_id, position
        ), dead AS (
            INSERT INTO drawbridge.webhook_dead_letters (delivery_id, endpoint_id, event_id, position, reason)
            SELECT taken.*, 'endpoint_disabled' FROM taken
        ), counted AS (
            INSERT INTO drawbridge.webhook_counts (depth, dead_letters)
            SELECT -count(*), count(*) FROM taken HAVING count(*) > 0
        )
        SELECT count(*) FROM taken
        """
    ) { row in try row.next() }

    /// Removes what waits, or is a dead letter, of endpoints that are not there any more, so much at a time. Looks once at each
    /// endpoint of which there is something, however much that is.
    static let sweepRemoved = Statement<Void>(
        "bridge.sweep_removed_webhooks",
        """
        WITH RECURSIVE waiting AS (
            (SELECT endpoint_id FROM drawbridge.webhook_waiting ORDER BY endpoint_id LIMIT 1)
            UNION ALL
            SELECT next.endpoint_id FROM waiting CROSS JOIN LATERAL (
                SELECT endpoint_id FROM drawbridge.webhook_waiting WHERE endpoint_id > waiting.endpoint_id
                ORDER BY endpoint_id LIMIT 1) AS next
        ), dead AS (
            (SELECT endpoint_id FROM drawbridge.webhook_dead_letters ORDER BY endpoint_id LIMIT 1)
            UNION ALL
            SELECT next.endpoint_id FROM dead CROSS JOIN LATERAL (
                SELECT endpoint_id FROM drawbridge.webhook_dead_letters WHERE endpoint_id > dead.endpoint_id
                ORDER BY endpoint_id LIMIT 1) AS next
        ), gone AS MATERIALIZED (
            SELECT endpoint_id FROM (SELECT * FROM waiting UNION SELECT * FROM dead) AS known
            WHERE NOT EXISTS (SELECT FROM drawbridge.webhook_endpoints WHERE id = known.endpoint_id)
        ), removed AS (
            DELETE FROM drawbridge.webhook_waiting WHERE delivery_id = ANY (ARRAY(
                SELECT delivery_id FROM drawbridge.webhook_waiting
                WHERE endpoint_id = ANY (ARRAY(SELECT endpoint_id FROM gone)) LIMIT 5000 FOR UPDATE SKIP LOCKED))
            RETURNING 1 AS depth, 0 AS dead_letters
        ), removed_dead AS (
            DELETE FROM drawbridge.webhook_dead_letters WHERE delivery_id = ANY (ARRAY(
                SELECT delivery_id FROM drawbridge.webhook_dead_letters
                WHERE endpoint_id = ANY (ARRAY(SELECT endpoint_id FROM gone)) LIMIT 5000 FOR UPDATE SKIP LOCKED))
            RETURNING 0 AS depth, 1 AS dead_letters
        )
        INSERT INTO drawbridge.webhook_counts (depth, dead_letters)
        SELECT -sum(depth), -sum(dead_letters) FROM (SELECT * FROM removed UNION ALL SELECT * FROM removed_dead) AS all_removed
        HAVING count(*) > 0
        """)

    /// Disables an endpoint that is still where it was: its id, why, who says so, its address.
    static let disable = Statement<Void, EndpointID, String, String, String>(
        "bridge.disable_webhook",
        """
        WITH disabled AS (
            UPDATE drawbridge.webhook_endpoints
            SET disabled_at = now(), disabled_reason = $2, version = version + 1, updated_at = now()
            WHERE id = $1 AND url = $4 AND disabled_at IS NULL RETURNING id, hotel_ids, version
        )
        INSERT INTO booking_engine_audit_log (hotel_id, action, entity_type, entity_id, response_data, status, actor)
        SELECT CASE WHEN cardinality(hotel_ids) = 1 THEN hotel_ids[1] END, 'disable_webhook', 'webhook_endpoint', id::TEXT,
               jsonb_build_object('disabled_reason', $2::TEXT, 'version', version), 'success', $3
        FROM disabled
        """)

    /// An attempt has failed, and the one before it had not. If others had written that down before, it counts from then on.
    static let beginFailures = Statement<Void, EndpointID>(
        "bridge.begin_webhook_failures",
        """
        INSERT INTO drawbridge.webhook_failures (endpoint_id)
        SELECT id FROM drawbridge.webhook_endpoints WHERE id = $1 FOR KEY SHARE
        ON CONFLICT (endpoint_id) DO NOTHING
        """)

    /// Since when an endpoint does nothing but fail, and what its owner was told of that.
    static let failures = Statement<(EndpointID, since: Instant, told: Int16), [BookingID]>(
        "bridge.webhook_failures",
        "SELECT endpoint_id, since, told_percent FROM drawbridge.webhook_failures WHERE endpoint_id = ANY ($1)"
    ) { row in (try row.next(), try row.next(), try row.next()) }

    /// Tells an endpoint's owner, by its other endpoints, that it does nothing but fail; gives a row if nobody else has done so,
    /// and nothing has arrived since.
    static let tellOfFailures = Statement<Int32, EndpointID, Int16>(
        "bridge.tell_of_webhook_failures",
        """
        WITH told AS (
            UPDATE drawbridge.webhook_failures SET told_percent = $2
            WHERE endpoint_id = $1 AND told_percent < $2 RETURNING since
        )
        INSERT INTO drawbridge.outbox_events (event_id, type, hotel_id, client, entity_id, version, payload)
        SELECT drawbridge.time_ordered_id(), 'endpoint.failing', hotel.id, endpoint.client, endpoint.id::TEXT,
               endpoint.version,
               json_build_object(
                   'type', 'endpoint.failing', 'timestamp', drawbridge.instant(now()),
                   'data', json_build_object(
                       'endpoint_id', endpoint.id, 'hotel_id', hotel.id, 'failing_since', drawbridge.instant(told.since),
                       'percent', $2::INT4, 'version', endpoint.version))
        FROM told JOIN drawbridge.webhook_endpoints AS endpoint ON endpoint.id = $1
        CROSS JOIN LATERAL (
            SELECT CASE WHEN cardinality(endpoint.hotel_ids) = 1 THEN endpoint.hotel_ids[1] END AS id) AS hotel
        RETURNING version
        """
    ) { row in try row.next() }

    // MARK: Booking engines

    /// What the owners of endpoints of `booking_engine_config` begin with.
    static let bookingEngineOwner = "urn:drawbridge:booking-engine-config "

    /// Notes that the hotel's booking engine was told, or could not be, of some events: in `booking_sync_status`, where it says
    /// nothing more important. What the PMS does not have is more important.
    static let noteBookingEngine = Statement<Void, [BookingID], Bool, String>(
        "bridge.note_booking_engine",
        """
        UPDATE booking_sync_status AS sync
        SET sync_status = CASE WHEN $2 THEN 'synced' ELSE 'failed' END, last_sync_attempt = now(),
            error_message = CASE WHEN NOT $2 THEN $3 END,
            retry_count = CASE WHEN $2 THEN sync.retry_count ELSE sync.retry_count + 1 END
        FROM drawbridge.webhook_events AS event
        WHERE event.event_id = ANY ($1) AND event.type LIKE 'booking.%' AND sync.hotel_id = event.hotel_id
          AND sync.booking_id = CASE WHEN event.type LIKE 'booking.%' THEN event.entity_id::UUID END
          AND (sync.sync_status = 'synced' OR sync.sync_status = 'failed' AND sync.error_message = $3)
        """)
}
