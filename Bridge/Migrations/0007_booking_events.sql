-- What is kept of each change of a booking besides the booking itself: the event that others are told, and a line in the
-- audit log. Both commit together with the booking and the PMS's rows.

-- What cancelling a booking costs is decided by what was agreed, so that is kept: the part of the total whose rates count.
ALTER TABLE drawbridge.bookings
    ADD COLUMN chargeable BIGINT NOT NULL DEFAULT 0 CHECK (chargeable BETWEEN 0 AND total),
    ADD COLUMN cancellation_fee BIGINT CHECK (cancellation_fee >= 0),
    ADD CONSTRAINT bookings_fee_of_cancelled CHECK (cancellation_fee IS NULL OR status = 'cancelled');
COMMENT ON COLUMN drawbridge.bookings.chargeable IS 'The part of total that counts for a cancellation fee';
COMMENT ON COLUMN drawbridge.bookings.cancellation_fee IS 'What its client was told when it cancelled';

-- Lists of all hotels; with one hotel bookings_updated serves.
CREATE INDEX bookings_changed ON drawbridge.bookings (updated_at, booking_id);

-- Bookings that ended long ago are removed.
CREATE INDEX bookings_departure ON drawbridge.bookings (departure);

-- Events that others are to be told. Whoever delivers them takes those with dispatched_at NULL in the order of position,
-- FOR UPDATE SKIP LOCKED. Positions are not in the order of commits.
CREATE TABLE drawbridge.outbox_events (
    event_id UUID PRIMARY KEY,
    position BIGINT GENERATED ALWAYS AS IDENTITY,
    type TEXT NOT NULL CHECK (type ~ '^[a-z_]+\.[a-z_]+$'),
    hotel_id INTEGER NOT NULL,
    entity_id TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    payload JSON NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    dispatched_at TIMESTAMPTZ
);
COMMENT ON COLUMN drawbridge.outbox_events.payload IS 'What subscribers get: type, timestamp, data';
-- Each version of a booking has one event; two writers who count from the same version cannot both commit.
CREATE UNIQUE INDEX outbox_events_version_once ON drawbridge.outbox_events (entity_id, version)
    WHERE type LIKE 'booking.%';
CREATE INDEX outbox_events_due ON drawbridge.outbox_events (position) WHERE dispatched_at IS NULL;
CREATE INDEX outbox_events_age ON drawbridge.outbox_events (created_at);

-- Who did what to which booking, under the name that the integration guide gives it, in the PMS's own schema. A partition
-- holds a month (UTC), so that old months go at once. No reference to hotels: what was done stays on record when a hotel
-- goes. Guests' particulars are masked in it.
CREATE TABLE booking_engine_audit_log (
    id BIGSERIAL,
    hotel_id INTEGER,
    action TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    entity_id TEXT,
    request_data JSONB,
    response_data JSONB,
    status TEXT NOT NULL CHECK (status IN ('success', 'refused')),
    error_message TEXT,
    request_id TEXT,
    actor TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (created_at, id)
) PARTITION BY RANGE (created_at);
CREATE INDEX booking_engine_audit_log_entity ON booking_engine_audit_log (entity_id);
COMMENT ON COLUMN booking_engine_audit_log.actor IS 'The client; "front desk" or "drawbridge" for what nobody asked for';

-- Takes what no month's partition does, so that a missing one never keeps a booking from being made.
CREATE TABLE booking_engine_audit_log_default PARTITION OF booking_engine_audit_log DEFAULT;

-- Makes the months that lie ahead and removes those that are older than is kept. They run with the rights of whoever
-- applied this migration, who owns the tables: the bridge's own role need not. The schema is the one the tables are in,
-- whatever the search path of whoever calls.
DO $migration$
BEGIN
    EXECUTE format($create$
        CREATE FUNCTION drawbridge.make_audit_partitions(ahead INTEGER) RETURNS INTEGER LANGUAGE plpgsql
        SECURITY DEFINER SET search_path = %1$I, pg_temp SET timezone = 'UTC' AS $function$
        DECLARE
            month TIMESTAMPTZ;
            name TEXT;
            made INTEGER := 0;
        BEGIN
            FOR month IN SELECT generate_series(
                date_trunc('month', now()), date_trunc('month', now()) + make_interval(months => LEAST(ahead, 24)),
                INTERVAL '1 month')
            LOOP
                name := 'booking_engine_audit_log_' || to_char(month, 'YYYY_MM');
                CONTINUE WHEN to_regclass(quote_ident(%1$L) || '.' || quote_ident(name)) IS NOT NULL;
                -- Nobody waits long for this: who writes into the month meanwhile goes on, or this is tried again.
                PERFORM set_config('lock_timeout', '1s', TRUE);
                -- Attached, and not made as a partition, which would keep every booking waiting; and what has come into
                -- the default partition moves over first.
                EXECUTE format('CREATE TABLE %%I (LIKE booking_engine_audit_log INCLUDING DEFAULTS
                                                  INCLUDING CONSTRAINTS INCLUDING COMMENTS)', name);
                LOCK TABLE booking_engine_audit_log_default IN ACCESS EXCLUSIVE MODE;
                EXECUTE format('WITH moved AS (DELETE FROM booking_engine_audit_log_default
                                               WHERE created_at >= $1 AND created_at < $2 RETURNING *)
                                INSERT INTO %%I SELECT * FROM moved', name)
                USING month, month + INTERVAL '1 month';
                EXECUTE format('ALTER TABLE booking_engine_audit_log ATTACH PARTITION %%I
                                FOR VALUES FROM (%%L) TO (%%L)', name, month, month + INTERVAL '1 month');
                made := made + 1;
            END LOOP;
            RETURN made;
        END
        $function$
    $create$, current_schema());
    EXECUTE format($create$
        CREATE FUNCTION drawbridge.drop_audit_partitions(kept INTEGER) RETURNS INTEGER LANGUAGE plpgsql
        SECURITY DEFINER SET search_path = %1$I, pg_temp SET timezone = 'UTC' AS $function$
        DECLARE
            first_kept CONSTANT TIMESTAMPTZ := date_trunc('month', now()) - make_interval(months => GREATEST(kept, 1));
            name TEXT;
            dropped INTEGER := 0;
        BEGIN
            PERFORM set_config('lock_timeout', '1s', TRUE);
            FOR name IN SELECT child.relname FROM pg_inherits
                        JOIN pg_class AS child ON child.oid = inhrelid
                        WHERE inhparent = format('%%I.booking_engine_audit_log', %1$L)::regclass
                          AND child.relname ~ '^booking_engine_audit_log_[0-9]{4}_[0-9]{2}$'
                          AND child.relname < 'booking_engine_audit_log_' || to_char(first_kept, 'YYYY_MM')
            LOOP
                EXECUTE format('DROP TABLE %%I', name);
                dropped := dropped + 1;
            END LOOP;
            DELETE FROM booking_engine_audit_log_default WHERE created_at < first_kept;
            RETURN dropped;
        END
        $function$
    $create$, current_schema());
END
$migration$;
REVOKE EXECUTE ON FUNCTION drawbridge.make_audit_partitions, drawbridge.drop_audit_partitions FROM PUBLIC;
SELECT drawbridge.make_audit_partitions(3);
