-- Webhooks that others send to us, as they came, and what has become of each. One is answered when it stands here; what it asks
-- for is done after that. A bridge claims one by counting its attempt and putting the next one off, so that it is another
-- bridge's turn when this one dies.

CREATE SEQUENCE drawbridge.inbound_message_ids;

-- A partition holds a day (UTC), so that old days go at once.
CREATE TABLE drawbridge.inbound_messages (
    id BIGINT NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    source TEXT NOT NULL CHECK (source ~ '^[a-z0-9-]{1,64}$'),
    key TEXT CHECK (length(key) BETWEEN 1 AND 300),
    content BYTEA NOT NULL,
    content_type TEXT,
    fields JSONB NOT NULL CHECK (jsonb_typeof(fields) = 'object'),
    hotel_id INTEGER,
    status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'retrying', 'processed', 'rejected', 'dead')),
    reason TEXT CHECK (length(reason) <= 1000),
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    claims INTEGER NOT NULL DEFAULT 0 CHECK (claims >= 0),
    next_attempt_at TIMESTAMPTZ DEFAULT now(),
    last_attempt_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ,
    PRIMARY KEY (received_at, id),
    CONSTRAINT inbound_messages_open_has_next
        CHECK ((status IN ('pending', 'retrying')) = (next_attempt_at IS NOT NULL)),
    CONSTRAINT inbound_messages_end CHECK ((status IN ('processed', 'rejected', 'dead')) = (ended_at IS NOT NULL)),
    CONSTRAINT inbound_messages_why CHECK (status NOT IN ('retrying', 'rejected', 'dead') OR reason IS NOT NULL)
) PARTITION BY RANGE (received_at);
COMMENT ON TABLE drawbridge.inbound_messages IS 'Webhooks that others have sent to us; dead: a dead letter';
COMMENT ON COLUMN drawbridge.inbound_messages.key IS
    'What it is recognised by: id:, the sender''s own name for it; sha256:, its content; NULL: nothing';
COMMENT ON COLUMN drawbridge.inbound_messages.content IS 'As it came; guests'' data may be in it';
COMMENT ON COLUMN drawbridge.inbound_messages.fields IS 'Those of the request that inbound.yaml keeps, by their names';
COMMENT ON COLUMN drawbridge.inbound_messages.hotel_id IS 'The hotel it is about, once that was found in it';
COMMENT ON COLUMN drawbridge.inbound_messages.claims IS 'Tells the last claim from those before it';
CREATE INDEX inbound_messages_id ON drawbridge.inbound_messages (id);
CREATE INDEX inbound_messages_due ON drawbridge.inbound_messages (next_attempt_at)
    WHERE status IN ('pending', 'retrying');
-- Those that somebody may have to look at.
CREATE INDEX inbound_messages_ended ON drawbridge.inbound_messages (status, id) WHERE status IN ('rejected', 'dead');

-- Takes what no day's partition does, so that a missing one never keeps a message from being taken.
CREATE TABLE drawbridge.inbound_messages_default PARTITION OF drawbridge.inbound_messages DEFAULT;

-- What is recognised when it comes again, for seven days. Apart from the messages, because nothing can be unique across days'
-- partitions.
CREATE TABLE drawbridge.inbound_keys (
    source TEXT NOT NULL,
    key TEXT NOT NULL,
    message_id BIGINT NOT NULL,
    received_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    repetitions INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (source, key)
);
COMMENT ON COLUMN drawbridge.inbound_keys.received_at IS 'When it came first';
CREATE INDEX inbound_keys_age ON drawbridge.inbound_keys (received_at);

-- Makes the days that lie ahead, and removes those that are older than is kept; as the audit log's months, with the rights of
-- whoever applied this migration.
CREATE FUNCTION drawbridge.make_inbound_partitions(ahead INTEGER) RETURNS INTEGER LANGUAGE plpgsql
SECURITY DEFINER SET search_path = drawbridge, pg_temp SET timezone = 'UTC' AS $function$
DECLARE
    day TIMESTAMPTZ;
    name TEXT;
    made INTEGER := 0;
BEGIN
    FOR day IN SELECT generate_series(
        date_trunc('day', now()), date_trunc('day', now()) + make_interval(days => LEAST(ahead, 60)), INTERVAL '1 day')
    LOOP
        name := 'inbound_messages_' || to_char(day, 'YYYY_MM_DD');
        CONTINUE WHEN to_regclass('drawbridge.' || quote_ident(name)) IS NOT NULL;
        -- Nobody waits long for this: who sends meanwhile goes on, or this is tried again.
        PERFORM set_config('lock_timeout', '1s', TRUE);
        -- Attached, and not made as a partition, which would keep every message waiting; and what has come into the
        -- default partition moves over first.
        EXECUTE format('CREATE TABLE %I (LIKE inbound_messages INCLUDING DEFAULTS INCLUDING CONSTRAINTS
                                         INCLUDING COMMENTS)', name);
        LOCK TABLE inbound_messages_default IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('WITH moved AS (DELETE FROM inbound_messages_default
                                       WHERE received_at >= $1 AND received_at < $2 RETURNING *)
                        INSERT INTO %I SELECT * FROM moved', name)
        USING day, day + INTERVAL '1 day';
        EXECUTE format('ALTER TABLE inbound_messages ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, day,
                       day + INTERVAL '1 day');
        made := made + 1;
    END LOOP;
    RETURN made;
END
$function$;
CREATE FUNCTION drawbridge.drop_inbound_partitions(kept INTEGER) RETURNS INTEGER LANGUAGE plpgsql
SECURITY DEFINER SET search_path = drawbridge, pg_temp SET timezone = 'UTC' AS $function$
DECLARE
    first_kept CONSTANT TIMESTAMPTZ := date_trunc('day', now()) - make_interval(days => GREATEST(kept, 1));
    name TEXT;
    dropped INTEGER := 0;
BEGIN
    PERFORM set_config('lock_timeout', '1s', TRUE);
    FOR name IN SELECT child.relname FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
                WHERE inhparent = 'drawbridge.inbound_messages'::regclass
                  AND child.relname ~ '^inbound_messages_[0-9]{4}_[0-9]{2}_[0-9]{2}$'
                  AND child.relname < 'inbound_messages_' || to_char(first_kept, 'YYYY_MM_DD')
    LOOP
        EXECUTE format('DROP TABLE %I', name);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM inbound_messages_default WHERE received_at < first_kept;
    RETURN dropped;
END
$function$;
REVOKE EXECUTE ON FUNCTION drawbridge.make_inbound_partitions, drawbridge.drop_inbound_partitions FROM PUBLIC;
SELECT drawbridge.make_inbound_partitions(3);
