-- From the event in a booking's transaction to the subscriber's answer.
--
--   outbox_events ─┬─► webhook_events                              for good, until retention drops the day
--                  └─► webhook_deliveries ─► webhook_attempts      likewise
--                        └─► webhook_claims ⇄ webhook_waiting      where it is now, if it has not ended
--                              └─► webhook_dead_letters            nobody delivers it until somebody decides
--
-- Nothing here is ever updated but a dispatcher's heartbeat: rows are inserted and deleted. Tables whose rows live for a moment
-- have slots, which are emptied whole: so they do not grow while somebody's old snapshot keeps PostgreSQL from removing what is
-- dead. Ids begin with their time (RFC 9562, version 7), so they say which day's partition they are in.

CREATE FUNCTION drawbridge.time_ordered_id(at TIMESTAMPTZ DEFAULT clock_timestamp()) RETURNS UUID LANGUAGE sql VOLATILE AS $$
    SELECT encode(set_bit(set_bit(
        overlay(uuid_send(gen_random_uuid()) PLACING substring(int8send(floor(extract(epoch FROM at) * 1000)::BIGINT) FROM 3)
                FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::UUID
$$;

-- No id of that instant or later is smaller.
CREATE FUNCTION drawbridge.first_id(at TIMESTAMPTZ) RETURNS UUID LANGUAGE sql STABLE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::BIGINT), 12, '0') || repeat('0', 20))::UUID
$$;

-- Where rows are written at the moment.
CREATE FUNCTION drawbridge.current_slot() RETURNS SMALLINT LANGUAGE sql VOLATILE AS $$
    SELECT (extract(epoch FROM clock_timestamp())::BIGINT / 20 % 4)::SMALLINT
$$;

-- What nobody has been told of yet. Whoever commits something writes its event in the same transaction; dispatchers take it
-- away, in the order of position. Positions are not in the order of commits, but those of one booking are in that of its
-- versions.
ALTER TABLE drawbridge.outbox_events RENAME TO outbox_events_before;
CREATE SEQUENCE drawbridge.outbox_position;
CREATE TABLE drawbridge.outbox_events (
    event_id UUID NOT NULL,
    position BIGINT NOT NULL DEFAULT nextval('drawbridge.outbox_position'),
    type TEXT NOT NULL CHECK (type ~ '^[a-z_]+\.[a-z_]+$'),
    hotel_id INTEGER,
    client TEXT,
    entity_id TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    payload JSON NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    slot SMALLINT NOT NULL DEFAULT drawbridge.current_slot(),
    CONSTRAINT outbox_events_audience CHECK (hotel_id IS NOT NULL OR client IS NOT NULL OR type = 'cache.refreshed')
) PARTITION BY LIST (slot);
ALTER SEQUENCE drawbridge.outbox_position OWNED BY drawbridge.outbox_events.position;
COMMENT ON COLUMN drawbridge.outbox_events.client IS 'Who alone is told; NULL: whoever has subscribed';
COMMENT ON COLUMN drawbridge.outbox_events.payload IS 'What subscribers get: type, timestamp, data';
CREATE TABLE drawbridge.outbox_events_0 PARTITION OF drawbridge.outbox_events FOR VALUES IN (0);
CREATE TABLE drawbridge.outbox_events_1 PARTITION OF drawbridge.outbox_events FOR VALUES IN (1);
CREATE TABLE drawbridge.outbox_events_2 PARTITION OF drawbridge.outbox_events FOR VALUES IN (2);
CREATE TABLE drawbridge.outbox_events_3 PARTITION OF drawbridge.outbox_events FOR VALUES IN (3);
CREATE INDEX outbox_events_position ON drawbridge.outbox_events (position);
CREATE INDEX outbox_events_entity ON drawbridge.outbox_events (entity_id, position);

-- Every event, delivered to somebody or to nobody, so that it can be found and sent again.
CREATE TABLE drawbridge.webhook_events (
    event_id UUID PRIMARY KEY,
    position BIGINT NOT NULL,
    type TEXT NOT NULL,
    hotel_id INTEGER,
    client TEXT,
    entity_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    payload JSON NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
) PARTITION BY RANGE (event_id);
CREATE TABLE drawbridge.webhook_events_default PARTITION OF drawbridge.webhook_events DEFAULT;
CREATE INDEX webhook_events_entity ON drawbridge.webhook_events (entity_id);

-- Both, for whoever asks what has happened.
CREATE VIEW drawbridge.events AS
    SELECT event_id, position, type, hotel_id, client, entity_id, version, payload, created_at
    FROM drawbridge.webhook_events
    UNION ALL
    SELECT event_id, position, type, hotel_id, client, entity_id, version, payload, created_at
    FROM drawbridge.outbox_events;

-- An event on its way to an endpoint. Where it is says which table has it besides: claims, waiting, dead letters; with none of
-- them it was delivered, if one of its attempts says so, or given up by somebody.
CREATE TABLE drawbridge.webhook_deliveries (
    delivery_id UUID PRIMARY KEY,
    event_id UUID NOT NULL,
    endpoint_id UUID NOT NULL,
    origin TEXT NOT NULL CHECK (origin IN ('event', 'replay', 'test'))
) PARTITION BY RANGE (delivery_id);
CREATE TABLE drawbridge.webhook_deliveries_default PARTITION OF drawbridge.webhook_deliveries DEFAULT;
CREATE INDEX webhook_deliveries_endpoint ON drawbridge.webhook_deliveries (endpoint_id, delivery_id);
CREATE INDEX webhook_deliveries_event ON drawbridge.webhook_deliveries (event_id);

CREATE TABLE drawbridge.webhook_attempts (
    delivery_id UUID NOT NULL,
    number SMALLINT NOT NULL CHECK (number >= 1),
    started_at TIMESTAMPTZ NOT NULL,
    result TEXT NOT NULL CHECK (result IN ('delivered', 'retry', 'dead', 'gone')),
    status SMALLINT,
    error TEXT,
    message TEXT CHECK (octet_length(message) <= 512),
    answer BYTEA CHECK (octet_length(answer) <= 16384),
    answer_ending TEXT,
    address TEXT,
    http_version TEXT,
    is_reused BOOLEAN NOT NULL,
    name_us INTEGER NOT NULL,
    connect_us INTEGER NOT NULL,
    tls_us INTEGER NOT NULL,
    first_byte_us INTEGER NOT NULL,
    total_us INTEGER NOT NULL,
    PRIMARY KEY (delivery_id, number)
) PARTITION BY RANGE (delivery_id);
CREATE TABLE drawbridge.webhook_attempts_default PARTITION OF drawbridge.webhook_attempts DEFAULT;
COMMENT ON COLUMN drawbridge.webhook_attempts.answer IS 'The first 16 KiB';
COMMENT ON COLUMN drawbridge.webhook_attempts.name_us IS 'Microseconds since the beginning, as the others';

-- Whoever sends. Its session is the generation of its claims: when it has not been heard of for as long as a lease lasts, its row
-- goes, its claims are anybody's, and what it says of them after that counts for nothing.
CREATE TABLE drawbridge.webhook_dispatchers (
    session BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    heartbeat_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    depth BIGINT NOT NULL DEFAULT 0,
    dead_letters BIGINT NOT NULL DEFAULT 0
);
COMMENT ON COLUMN drawbridge.webhook_dispatchers.depth IS
    'What it has added up of webhook_counts; the sum of all rows, with what is there yet, is how many deliveries have not ended';
COMMENT ON COLUMN drawbridge.webhook_dispatchers.dead_letters IS 'Likewise of dead letters';
-- What those have added up who are gone.
INSERT INTO drawbridge.webhook_dispatchers (session, heartbeat_at) VALUES (0, 'infinity');

-- By how much each statement has changed how many deliveries have not ended, and how many dead letters there are: in the
-- transaction in which it has, so that nothing is miscounted whoever crashes. Heartbeats add them up and take them away.
CREATE TABLE drawbridge.webhook_counts (
    depth BIGINT NOT NULL,
    dead_letters BIGINT NOT NULL,
    slot SMALLINT NOT NULL DEFAULT drawbridge.current_slot()
) PARTITION BY LIST (slot);
CREATE TABLE drawbridge.webhook_counts_0 PARTITION OF drawbridge.webhook_counts FOR VALUES IN (0);
CREATE TABLE drawbridge.webhook_counts_1 PARTITION OF drawbridge.webhook_counts FOR VALUES IN (1);
CREATE TABLE drawbridge.webhook_counts_2 PARTITION OF drawbridge.webhook_counts FOR VALUES IN (2);
CREATE TABLE drawbridge.webhook_counts_3 PARTITION OF drawbridge.webhook_counts FOR VALUES IN (3);

-- What a dispatcher has in its hands.
CREATE TABLE drawbridge.webhook_claims (
    delivery_id UUID NOT NULL,
    endpoint_id UUID NOT NULL,
    event_id UUID NOT NULL,
    position BIGINT NOT NULL,
    sequence_key TEXT,
    attempts SMALLINT NOT NULL,
    session BIGINT NOT NULL,
    slot SMALLINT NOT NULL DEFAULT drawbridge.current_slot()
) PARTITION BY LIST (slot);
COMMENT ON COLUMN drawbridge.webhook_claims.sequence_key IS 'The entity whose events are delivered one after the other; NULL: in any order';
COMMENT ON COLUMN drawbridge.webhook_claims.attempts IS 'That have been made';
CREATE TABLE drawbridge.webhook_claims_0 PARTITION OF drawbridge.webhook_claims FOR VALUES IN (0);
CREATE TABLE drawbridge.webhook_claims_1 PARTITION OF drawbridge.webhook_claims FOR VALUES IN (1);
CREATE TABLE drawbridge.webhook_claims_2 PARTITION OF drawbridge.webhook_claims FOR VALUES IN (2);
CREATE TABLE drawbridge.webhook_claims_3 PARTITION OF drawbridge.webhook_claims FOR VALUES IN (3);
CREATE INDEX webhook_claims_delivery ON drawbridge.webhook_claims (delivery_id);
CREATE INDEX webhook_claims_sequence ON drawbridge.webhook_claims (endpoint_id, sequence_key)
    WHERE sequence_key IS NOT NULL;

-- What waits: to be tried again, for its endpoint to be back or to have room, for what comes before it.
CREATE TABLE drawbridge.webhook_waiting (
    delivery_id UUID PRIMARY KEY,
    endpoint_id UUID NOT NULL,
    event_id UUID NOT NULL,
    position BIGINT NOT NULL,
    sequence_key TEXT,
    attempts SMALLINT NOT NULL,
    due_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX webhook_waiting_due ON drawbridge.webhook_waiting (endpoint_id, due_at, position);
CREATE INDEX webhook_waiting_oldest ON drawbridge.webhook_waiting (due_at);
CREATE INDEX webhook_waiting_sequence ON drawbridge.webhook_waiting (endpoint_id, sequence_key, position)
    WHERE sequence_key IS NOT NULL;

-- What nobody delivers any more, until somebody has it tried again or gives it up.
CREATE TABLE drawbridge.webhook_dead_letters (
    delivery_id UUID PRIMARY KEY,
    endpoint_id UUID NOT NULL,
    event_id UUID NOT NULL,
    position BIGINT NOT NULL,
    reason TEXT NOT NULL CHECK (reason IN ('exhausted', 'endpoint_disabled')),
    died_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON COLUMN drawbridge.webhook_dead_letters.reason IS
    'exhausted: tried as often as its endpoint asks for; endpoint_disabled: its endpoint was sent nothing';
CREATE INDEX webhook_dead_letters_endpoint ON drawbridge.webhook_dead_letters (endpoint_id, delivery_id);

-- Since when attempts at an endpoint have done nothing but fail, and how far on the way to being disabled its owner was told it
-- is. Written when that begins, at each milestone, and when it ends.
CREATE TABLE drawbridge.webhook_failures (
    endpoint_id UUID PRIMARY KEY REFERENCES drawbridge.webhook_endpoints ON DELETE CASCADE,
    since TIMESTAMPTZ NOT NULL DEFAULT now(),
    told_percent SMALLINT NOT NULL DEFAULT 0 CHECK (told_percent IN (0, 50, 75, 100))
);

-- Whoever disables an endpoint, its owner is told of it, by its other endpoints.
ALTER TABLE drawbridge.webhook_endpoints
    DROP CONSTRAINT webhook_endpoints_events,
    ADD CONSTRAINT webhook_endpoints_events CHECK (
        cardinality(events) >= 1 AND drawbridge.is_set(events)
        AND events <@ ARRAY['booking.created', 'booking.updated', 'booking.cancelled', 'booking.conflict',
                            'availability.updated', 'hotel.updated', 'room_type.updated', 'guest.created',
                            'cache.refreshed', 'sync.failed', 'endpoint.failing', 'endpoint.disabled']);

CREATE FUNCTION drawbridge.tell_of_disabled_endpoint() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    hotel CONSTANT INTEGER := CASE WHEN cardinality(NEW.hotel_ids) = 1 THEN NEW.hotel_ids[1] END;
BEGIN
    INSERT INTO drawbridge.outbox_events (event_id, type, hotel_id, client, entity_id, version, payload)
    VALUES (
        drawbridge.time_ordered_id(), 'endpoint.disabled', hotel, NEW.client, NEW.id::TEXT, NEW.version,
        json_build_object(
            'type', 'endpoint.disabled', 'timestamp', drawbridge.instant(now()),
            'data', json_build_object(
                'endpoint_id', NEW.id, 'hotel_id', hotel, 'reason', NEW.disabled_reason,
                'disabled_at', drawbridge.instant(NEW.disabled_at), 'version', NEW.version)));
    DELETE FROM drawbridge.webhook_failures WHERE endpoint_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER webhook_endpoints_disabled AFTER UPDATE OF disabled_at ON drawbridge.webhook_endpoints
    FOR EACH ROW WHEN (OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL)
    EXECUTE FUNCTION drawbridge.tell_of_disabled_endpoint();

-- What an address has done says nothing about another one.
CREATE FUNCTION drawbridge.forget_failures() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM drawbridge.webhook_failures WHERE endpoint_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER webhook_endpoints_moved AFTER UPDATE OF url ON drawbridge.webhook_endpoints
    FOR EACH ROW WHEN (OLD.url <> NEW.url) EXECUTE FUNCTION drawbridge.forget_failures();

-- As the API writes instants.
CREATE FUNCTION drawbridge.instant(at TIMESTAMPTZ) RETURNS TEXT LANGUAGE sql STABLE AS $$
    SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- Which command has written a booking last: what it did in the PMS need not be looked at as if the front desk had done it.
ALTER TABLE drawbridge.bookings ADD COLUMN commanded_by XID8;

-- Empties slots that nobody writes to at the moment and in which nothing is left. Nobody waits long for it; what is in use is
-- looked at the next time.
CREATE FUNCTION drawbridge.empty_slots() RETURNS INTEGER LANGUAGE plpgsql
SECURITY DEFINER SET search_path = drawbridge, pg_temp AS $$
DECLARE
    slot TEXT;
    is_used BOOLEAN;
    emptied INTEGER := 0;
BEGIN
    -- One at a time.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('drawbridge slots', 0)) THEN
        RETURN 0;
    END IF;
    PERFORM set_config('lock_timeout', '50ms', TRUE);
    FOR slot IN SELECT format('%I', name || '_' || (current_slot() + ahead) % 4)
                FROM unnest(ARRAY['outbox_events', 'webhook_claims', 'webhook_counts']) AS parent (name), generate_series(1, 2) AS ahead
    LOOP
        CONTINUE WHEN pg_relation_size(slot::REGCLASS) = 0;
        BEGIN
            EXECUTE format('SELECT EXISTS (SELECT FROM %s)', slot) INTO is_used;
            CONTINUE WHEN is_used;
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', slot);
            EXECUTE format('SELECT EXISTS (SELECT FROM %s)', slot) INTO is_used;
            CONTINUE WHEN is_used;
            EXECUTE format('TRUNCATE %s', slot);
            emptied := emptied + 1;
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END LOOP;
    RETURN emptied;
END
$$;

-- Makes the days that lie ahead and removes those that are older than is kept, as is done with the audit log's months.
CREATE FUNCTION drawbridge.make_webhook_partitions(ahead INTEGER) RETURNS INTEGER LANGUAGE plpgsql
SECURITY DEFINER SET search_path = drawbridge, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    parent TEXT;
    day TIMESTAMPTZ;
    name TEXT;
    made INTEGER := 0;
BEGIN
    PERFORM set_config('lock_timeout', '1s', TRUE);
    FOREACH parent IN ARRAY ARRAY['webhook_events', 'webhook_deliveries', 'webhook_attempts'] LOOP
        FOR day IN SELECT generate_series(
            date_trunc('day', now()), date_trunc('day', now()) + make_interval(days => LEAST(ahead, 31)), INTERVAL '1 day')
        LOOP
            name := parent || '_' || to_char(day, 'YYYY_MM_DD');
            CONTINUE WHEN to_regclass('drawbridge.' || name) IS NOT NULL;
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS)', name, parent);
            EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', parent || '_default');
            EXECUTE format('WITH moved AS (DELETE FROM %1$I WHERE %2$I >= $1 AND %2$I < $2 RETURNING *)
                            INSERT INTO %3$I SELECT * FROM moved',
                           parent || '_default', CASE parent WHEN 'webhook_events' THEN 'event_id' ELSE 'delivery_id' END, name)
            USING first_id(day), first_id(day + INTERVAL '1 day');
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, name,
                           first_id(day), first_id(day + INTERVAL '1 day'));
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;

CREATE FUNCTION drawbridge.drop_webhook_partitions(kept INTEGER) RETURNS INTEGER LANGUAGE plpgsql
SECURITY DEFINER SET search_path = drawbridge, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    first_kept CONSTANT TIMESTAMPTZ := date_trunc('day', now()) - make_interval(days => GREATEST(kept, 1));
    name TEXT;
    dropped INTEGER := 0;
BEGIN
    PERFORM set_config('lock_timeout', '1s', TRUE);
    FOR name IN SELECT child.relname FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
                WHERE inhparent IN ('webhook_events'::REGCLASS, 'webhook_deliveries'::REGCLASS, 'webhook_attempts'::REGCLASS)
                  AND right(child.relname, 11) ~ '^_[0-9]{4}_[0-9]{2}_[0-9]{2}$'
                  AND right(child.relname, 10) < to_char(first_kept, 'YYYY_MM_DD')
    LOOP
        EXECUTE format('DROP TABLE %I', name);
        dropped := dropped + 1;
    END LOOP;
    -- What did not come in its day's.
    DELETE FROM webhook_attempts_default WHERE started_at < first_kept;
    DELETE FROM webhook_deliveries_default AS delivery
    WHERE NOT EXISTS (SELECT FROM webhook_events WHERE event_id = delivery.event_id);
    DELETE FROM webhook_events_default WHERE created_at < first_kept;
    RETURN dropped;
END
$$;
REVOKE EXECUTE ON FUNCTION drawbridge.empty_slots, drawbridge.make_webhook_partitions, drawbridge.drop_webhook_partitions
    FROM PUBLIC;
SELECT drawbridge.make_webhook_partitions(3);

-- What there was before anybody could be told of it.
INSERT INTO drawbridge.webhook_events (event_id, position, type, hotel_id, entity_id, version, payload, created_at)
SELECT event_id, nextval('drawbridge.outbox_position'), type, hotel_id, entity_id, version, payload, created_at
FROM drawbridge.outbox_events_before ORDER BY position;
DROP TABLE drawbridge.outbox_events_before;
