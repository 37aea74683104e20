-- What somebody can do about deliveries: see how they stand, have them tried again, give them up, and have events that have gone by
-- delivered anew. The API and `drawbridge webhook` both do it by what stands here.
--
-- Each of it counts what it changes in the row of session 0 of webhook_dispatchers, and last, for there is one such row.

-- When something was made whose id begins with that.
CREATE FUNCTION drawbridge.instant_of(id UUID) RETURNS TIMESTAMPTZ LANGUAGE sql IMMUTABLE AS $$
    SELECT to_timestamp(('x' || substr(replace(id::TEXT, '-', ''), 1, 12))::BIT(48)::BIGINT / 1000.0)
$$;

-- How deliveries stand, and the event and the last attempt of each, where they are kept still. Each is looked up by its key: to be
-- asked for some deliveries only.
CREATE VIEW drawbridge.webhook_delivery_states AS
    SELECT delivery.delivery_id, delivery.endpoint_id, delivery.event_id, delivery.origin,
           CASE
               WHEN claim.delivery_id IS NOT NULL THEN 'sending'
               WHEN waiting.delivery_id IS NOT NULL THEN 'waiting'
               WHEN letter.delivery_id IS NOT NULL THEN 'dead'
               WHEN success.delivery_id IS NOT NULL THEN 'delivered'
               ELSE 'abandoned'
           END AS state,
           waiting.due_at, letter.reason, letter.died_at,
           event.type, event.hotel_id, event.entity_id, event.position,
           COALESCE(last.number, 0::SMALLINT) AS attempts, last.started_at AS last_attempt_at, last.status AS last_status,
           last.error AS last_error
    FROM drawbridge.webhook_deliveries AS delivery
    LEFT JOIN LATERAL (
        SELECT delivery_id FROM drawbridge.webhook_claims WHERE delivery_id = delivery.delivery_id LIMIT 1) AS claim ON TRUE
    LEFT JOIN LATERAL (
        SELECT delivery_id, due_at FROM drawbridge.webhook_waiting
        WHERE delivery_id = delivery.delivery_id LIMIT 1) AS waiting ON TRUE
    LEFT JOIN LATERAL (
        SELECT delivery_id, reason, died_at FROM drawbridge.webhook_dead_letters
        WHERE delivery_id = delivery.delivery_id LIMIT 1) AS letter ON TRUE
    LEFT JOIN LATERAL (
        SELECT type, hotel_id, entity_id, position FROM drawbridge.webhook_events
        WHERE event_id = delivery.event_id LIMIT 1) AS event ON TRUE
    LEFT JOIN LATERAL (
        SELECT number, started_at, status, error FROM drawbridge.webhook_attempts
        WHERE delivery_id = delivery.delivery_id ORDER BY number DESC LIMIT 1) AS last ON TRUE
    LEFT JOIN LATERAL (
        SELECT delivery_id FROM drawbridge.webhook_attempts
        WHERE delivery_id = delivery.delivery_id AND result = 'delivered' LIMIT 1) AS success ON TRUE;

-- As often as a delivery is tried at most, whoever wants it tried again: each attempt is kept.
CREATE FUNCTION drawbridge.most_webhook_attempts() RETURNS SMALLINT LANGUAGE sql IMMUTABLE AS 'SELECT 100::SMALLINT';

-- Has a delivery tried at once, whatever became of it. The attempts that were made count on: one whose retries are used up gets one
-- more attempt each time.
--
-- Gives what it is now, 'waiting' or 'sending', or what is in the way: 'disabled', its endpoint is sent nothing; 'forgotten', its
-- event is not kept any more; 'worn_out', it was tried as often as anything is. NULL where there is no such delivery.
CREATE FUNCTION drawbridge.retry_webhook_delivery(wanted UUID) RETURNS TEXT LANGUAGE plpgsql AS $$
DECLARE
    delivery RECORD;
BEGIN
    -- Those who decide about it do so one after the other. A dispatcher waits for nobody: it may take what waits meanwhile.
    PERFORM FROM drawbridge.webhook_deliveries WHERE delivery_id = wanted FOR UPDATE;
    LOOP
        SELECT states.*, endpoint.is_ordered, endpoint.disabled_at INTO delivery
        FROM drawbridge.webhook_delivery_states AS states
        JOIN drawbridge.webhook_endpoints AS endpoint ON endpoint.id = states.endpoint_id
        WHERE states.delivery_id = wanted;
        IF delivery.delivery_id IS NULL THEN
            RETURN NULL;
        ELSIF delivery.state = 'sending' THEN
            RETURN 'sending';
        ELSIF delivery.disabled_at IS NOT NULL THEN
            RETURN 'disabled';
        ELSIF delivery.position IS NULL THEN
            RETURN 'forgotten';
        ELSIF delivery.attempts >= drawbridge.most_webhook_attempts() THEN
            RETURN 'worn_out';
        END IF;
        CASE delivery.state
            WHEN 'waiting' THEN
                DELETE FROM drawbridge.webhook_waiting WHERE delivery_id = wanted;
                CONTINUE WHEN NOT FOUND;
            WHEN 'dead' THEN
                DELETE FROM drawbridge.webhook_dead_letters WHERE delivery_id = wanted;
                CONTINUE WHEN NOT FOUND;
            ELSE
                NULL;
        END CASE;
        INSERT INTO drawbridge.webhook_waiting (delivery_id, endpoint_id, event_id, position, sequence_key, attempts, due_at)
        VALUES (wanted, delivery.endpoint_id, delivery.event_id, delivery.position,
                CASE WHEN delivery.is_ordered AND delivery.origin <> 'test' THEN delivery.entity_id END,
                delivery.attempts, now());
        UPDATE drawbridge.webhook_dispatchers
        SET depth = depth + CASE delivery.state WHEN 'waiting' THEN 0 ELSE 1 END,
            dead_letters = dead_letters - CASE delivery.state WHEN 'dead' THEN 1 ELSE 0 END
        WHERE session = 0 AND delivery.state <> 'waiting';
        RETURN 'waiting';
    END LOOP;
END
$$;

-- Gives a delivery up that has not ended: nobody tries it any more.
--
-- Gives 'abandoned'; or 'sending', where an attempt is under way, whose outcome decides; 'ended', where there is nothing to give up.
-- NULL where there is no such delivery.
CREATE FUNCTION drawbridge.abandon_webhook_delivery(wanted UUID) RETURNS TEXT LANGUAGE plpgsql AS $$
DECLARE
    found_state TEXT;
BEGIN
    PERFORM FROM drawbridge.webhook_deliveries WHERE delivery_id = wanted FOR UPDATE;
    LOOP
        found_state := (SELECT state FROM drawbridge.webhook_delivery_states WHERE delivery_id = wanted);
        CASE found_state
            WHEN 'waiting' THEN
                DELETE FROM drawbridge.webhook_waiting WHERE delivery_id = wanted;
                CONTINUE WHEN NOT FOUND;
                UPDATE drawbridge.webhook_dispatchers SET depth = depth - 1 WHERE session = 0;
                RETURN 'abandoned';
            WHEN 'dead' THEN
                DELETE FROM drawbridge.webhook_dead_letters WHERE delivery_id = wanted;
                CONTINUE WHEN NOT FOUND;
                UPDATE drawbridge.webhook_dispatchers SET dead_letters = dead_letters - 1 WHERE session = 0;
                RETURN 'abandoned';
            WHEN 'sending' THEN
                RETURN 'sending';
            WHEN 'delivered', 'abandoned' THEN
                RETURN 'ended';
            ELSE
                RETURN NULL;
        END CASE;
    END LOOP;
END
$$;

-- Has dead letters tried again that answer to all that is not NULL, the oldest first, so many at most; none of endpoints that are
-- disabled, none whose event is not kept any more, none that was tried as often as anything is. Gives how many, by their endpoints.
CREATE FUNCTION drawbridge.retry_webhook_dead_letters(
    of_client TEXT, of_hotels INTEGER[], of_endpoint UUID, of_ids UUID[], of_reason TEXT, first UUID, before UUID,
    of_types TEXT[], bound INTEGER
) RETURNS TABLE (endpoint UUID, retried INTEGER) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    WITH letter AS MATERIALIZED (
        SELECT dead.delivery_id, dead.endpoint_id, dead.event_id, dead.position, last.attempts,
               CASE WHEN subscribed.is_ordered AND delivery.origin <> 'test' THEN event.entity_id END AS sequence_key
        FROM drawbridge.webhook_dead_letters AS dead
        JOIN drawbridge.webhook_endpoints AS subscribed ON subscribed.id = dead.endpoint_id
        JOIN drawbridge.webhook_deliveries AS delivery ON delivery.delivery_id = dead.delivery_id
        JOIN drawbridge.webhook_events AS event ON event.event_id = dead.event_id
        CROSS JOIN LATERAL (
            SELECT COALESCE(max(number), 0)::SMALLINT AS attempts FROM drawbridge.webhook_attempts AS attempt
            WHERE attempt.delivery_id = dead.delivery_id) AS last
        WHERE subscribed.disabled_at IS NULL
          AND (of_client IS NULL OR subscribed.client = of_client)
          AND (of_hotels IS NULL OR subscribed.hotel_ids <@ of_hotels)
          AND (of_endpoint IS NULL OR dead.endpoint_id = of_endpoint)
          AND (of_ids IS NULL OR dead.delivery_id = ANY (of_ids))
          AND (of_reason IS NULL OR dead.reason = of_reason)
          AND (first IS NULL OR dead.delivery_id >= first)
          AND (before IS NULL OR dead.delivery_id < before)
          AND (of_types IS NULL OR event.type = ANY (of_types))
          AND last.attempts < drawbridge.most_webhook_attempts()
        ORDER BY dead.delivery_id LIMIT bound FOR UPDATE OF dead SKIP LOCKED
    ), removed AS (
        DELETE FROM drawbridge.webhook_dead_letters AS dead USING letter WHERE dead.delivery_id = letter.delivery_id
        RETURNING dead.delivery_id
    ), revived AS (
        INSERT INTO drawbridge.webhook_waiting (delivery_id, endpoint_id, event_id, position, sequence_key, attempts, due_at)
        SELECT letter.delivery_id, letter.endpoint_id, letter.event_id, letter.position, letter.sequence_key, letter.attempts,
               now()
        FROM letter JOIN removed ON removed.delivery_id = letter.delivery_id
        RETURNING webhook_waiting.endpoint_id
    ), counted AS (
        UPDATE drawbridge.webhook_dispatchers SET depth = depth + moved.count, dead_letters = dead_letters - moved.count
        FROM (SELECT count(*) AS count FROM revived) AS moved WHERE session = 0 AND moved.count > 0
    )
    SELECT revived.endpoint_id, count(*)::INTEGER FROM revived GROUP BY revived.endpoint_id;
END
$$;

-- Sends an endpoint an event that tells of nothing but itself. It is its owner's alone, and of no type that can be subscribed to.
-- Gives NULL where the endpoint is disabled, or there is none.
CREATE FUNCTION drawbridge.test_webhook(wanted UUID, OUT delivery UUID, OUT event UUID) LANGUAGE plpgsql AS $$
DECLARE
    endpoint RECORD;
    place CONSTANT BIGINT := nextval('drawbridge.outbox_position');
    hotel INTEGER;
BEGIN
    SELECT * INTO endpoint FROM drawbridge.webhook_endpoints WHERE id = wanted AND disabled_at IS NULL;
    IF endpoint.id IS NULL THEN
        RETURN;
    END IF;
    hotel := CASE WHEN cardinality(endpoint.hotel_ids) = 1 THEN endpoint.hotel_ids[1] END;
    event := drawbridge.time_ordered_id();
    delivery := drawbridge.time_ordered_id();
    INSERT INTO drawbridge.webhook_events (event_id, position, type, hotel_id, client, entity_id, version, payload, created_at)
    VALUES (event, place, 'endpoint.test', hotel, endpoint.client, wanted::TEXT, 1,
            json_build_object(
                'type', 'endpoint.test', 'timestamp', drawbridge.instant(now()),
                'data', json_build_object('endpoint_id', wanted, 'hotel_id', hotel, 'version', 1)), now());
    INSERT INTO drawbridge.webhook_deliveries (delivery_id, event_id, endpoint_id, origin)
    VALUES (delivery, event, wanted, 'test');
    -- It waits for nothing else that goes there.
    INSERT INTO drawbridge.webhook_waiting (delivery_id, endpoint_id, event_id, position, attempts, due_at)
    VALUES (delivery, wanted, event, place, 0, now());
    UPDATE drawbridge.webhook_dispatchers SET depth = depth + 1 WHERE session = 0;
END
$$;

-- Events that have gone by and are to be delivered to an endpoint anew. A bridge goes through them in the order of their ids, some at
-- a time, and writes down how far it has come with what it has made of them.
CREATE TABLE drawbridge.webhook_replays (
    id UUID PRIMARY KEY,
    endpoint_id UUID NOT NULL REFERENCES drawbridge.webhook_endpoints ON DELETE CASCADE,
    since TIMESTAMPTZ NOT NULL,
    until TIMESTAMPTZ NOT NULL,
    events TEXT[],
    cursor UUID NOT NULL,
    replayed BIGINT NOT NULL DEFAULT 0 CHECK (replayed >= 0),
    state TEXT NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'stopped')),
    asked_by TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    worked_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    ended_at TIMESTAMPTZ,
    CONSTRAINT webhook_replays_span CHECK (since < until),
    CONSTRAINT webhook_replays_events CHECK (cardinality(events) >= 1 AND drawbridge.is_set(events)),
    CONSTRAINT webhook_replays_end CHECK ((state = 'running') = (ended_at IS NULL))
);
COMMENT ON COLUMN drawbridge.webhook_replays.events IS 'NULL: all that the endpoint is told of';
COMMENT ON COLUMN drawbridge.webhook_replays.cursor IS 'The event up to which everything is done';
COMMENT ON COLUMN drawbridge.webhook_replays.replayed IS 'Deliveries that were made';
COMMENT ON COLUMN drawbridge.webhook_replays.state IS 'stopped: its endpoint was disabled meanwhile';
COMMENT ON COLUMN drawbridge.webhook_replays.worked_at IS 'Whose turn was longest ago is next';
-- An endpoint is sent the past once at a time.
CREATE UNIQUE INDEX webhook_replays_one_running ON drawbridge.webhook_replays (endpoint_id) WHERE state = 'running';
CREATE INDEX webhook_replays_turn ON drawbridge.webhook_replays (worked_at) WHERE state = 'running';
CREATE INDEX webhook_replays_ended ON drawbridge.webhook_replays (ended_at) WHERE state <> 'running';
