-- Who is told of events: the endpoints that clients have subscribed, and the secrets by which they know that it is we who
-- tell them.

-- Whether an array is a set: each element is there once, and is a value.
CREATE FUNCTION drawbridge.is_set(elements ANYARRAY) RETURNS BOOLEAN LANGUAGE sql IMMUTABLE AS
    'SELECT count(element) = cardinality(elements) AND count(DISTINCT element) = cardinality(elements)
     FROM unnest(elements) AS element';

-- Schema `drawbridge` refers to none of the PMS's tables here: an endpoint outlives a hotel of which it was to be told.
CREATE TABLE drawbridge.webhook_endpoints (
    id UUID PRIMARY KEY,
    position BIGINT GENERATED ALWAYS AS IDENTITY,
    client TEXT NOT NULL CHECK (length(client) BETWEEN 1 AND 512),
    url TEXT NOT NULL CHECK (octet_length(url) <= 2048 AND url ~ '^https?://[!-~]+$'),
    events TEXT[] NOT NULL,
    hotel_ids INTEGER[],
    description TEXT CHECK (length(description) BETWEEN 1 AND 200),
    payload TEXT NOT NULL CHECK (payload IN ('full', 'thin')),
    is_ordered BOOLEAN NOT NULL,
    is_asymmetric BOOLEAN NOT NULL,
    backoff TEXT NOT NULL CHECK (backoff IN ('exponential', 'linear')),
    maximum_retries SMALLINT NOT NULL CHECK (maximum_retries BETWEEN 0 AND 20),
    maximum_in_flight SMALLINT NOT NULL CHECK (maximum_in_flight BETWEEN 1 AND 100),
    maximum_rate SMALLINT NOT NULL CHECK (maximum_rate BETWEEN 1 AND 1000),
    disabled_at TIMESTAMPTZ,
    disabled_reason TEXT CHECK (disabled_reason IN ('requested', 'rights', 'gone', 'failing')),
    version INTEGER NOT NULL DEFAULT 1 CHECK (version >= 1),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT webhook_endpoints_position_once UNIQUE (position),
    CONSTRAINT webhook_endpoints_events CHECK (
        cardinality(events) >= 1 AND drawbridge.is_set(events)
        AND events <@ ARRAY['booking.created', 'booking.updated', 'booking.cancelled', 'booking.conflict',
                            'availability.updated', 'hotel.updated', 'room_type.updated', 'guest.created',
                            'cache.refreshed', 'sync.failed', 'endpoint.disabled']),
    CONSTRAINT webhook_endpoints_hotels CHECK (
        hotel_ids IS NULL
        OR cardinality(hotel_ids) BETWEEN 1 AND 200 AND drawbridge.is_set(hotel_ids) AND 1 <= ALL (hotel_ids)),
    CONSTRAINT webhook_endpoints_disabled_why CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
);
COMMENT ON COLUMN drawbridge.webhook_endpoints.position IS 'The order in which they were made, for pages';
COMMENT ON COLUMN drawbridge.webhook_endpoints.client IS 'Whose it is: issuer and client, as bookings have it';
COMMENT ON COLUMN drawbridge.webhook_endpoints.hotel_ids IS 'NULL: every hotel';
COMMENT ON COLUMN drawbridge.webhook_endpoints.payload IS 'thin: of data only what names the entity';
COMMENT ON COLUMN drawbridge.webhook_endpoints.is_ordered IS 'Of one booking in the order of its versions';
COMMENT ON COLUMN drawbridge.webhook_endpoints.is_asymmetric IS 'Signed with Ed25519 (v1a) besides HMAC-SHA256 (v1)';
COMMENT ON COLUMN drawbridge.webhook_endpoints.maximum_rate IS 'Attempts that begin in a second';
COMMENT ON COLUMN drawbridge.webhook_endpoints.disabled_reason IS
    'requested: by its client or an administrator; rights: its client has lost the hotels; gone: it answered 410; failing: '
    'for days nothing but failure';
CREATE INDEX webhook_endpoints_of_client ON drawbridge.webhook_endpoints (client, position);

-- A client has so many at most, however many it makes at once.
CREATE FUNCTION drawbridge.bound_webhook_endpoints() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('webhook endpoints of ' || NEW.client, 0));
    IF (SELECT count(*) FROM drawbridge.webhook_endpoints WHERE client = NEW.client) >= 50 THEN
        RAISE EXCEPTION 'too many endpoints of one client'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'webhook_endpoints_bound',
                  HINT = 'Remove those that nobody needs.';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER webhook_endpoints_bound BEFORE INSERT ON drawbridge.webhook_endpoints
    FOR EACH ROW EXECUTE FUNCTION drawbridge.bound_webhook_endpoints();

-- Sealed (AES-256-GCM) under the master key that is in no database, as the keys are that sign tokens, and bound to their
-- endpoint. One of a kind is the current one; those before it are good until they expire, so that their subscribers can
-- change over in between.
CREATE TABLE drawbridge.webhook_secrets (
    id UUID PRIMARY KEY,
    endpoint_id UUID NOT NULL REFERENCES drawbridge.webhook_endpoints ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('hmac-sha256', 'ed25519')),
    sealed BYTEA NOT NULL CHECK (octet_length(sealed) BETWEEN 29 AND 1024),
    master_key_id TEXT NOT NULL CHECK (master_key_id ~ '^[0-9a-f]{16}$'),
    public_key TEXT CHECK (public_key ~ '^whpk_[A-Za-z0-9+/]{43}=$'),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at TIMESTAMPTZ,
    CONSTRAINT webhook_secrets_public CHECK ((kind = 'ed25519') = (public_key IS NOT NULL))
);
COMMENT ON COLUMN drawbridge.webhook_secrets.master_key_id IS 'Names the key under which it is sealed';
COMMENT ON COLUMN drawbridge.webhook_secrets.expires_at IS 'NULL: the current one';
CREATE UNIQUE INDEX webhook_secrets_one_current ON drawbridge.webhook_secrets (endpoint_id, kind)
    WHERE expires_at IS NULL;
CREATE INDEX webhook_secrets_of_endpoint ON drawbridge.webhook_secrets (endpoint_id);
CREATE INDEX webhook_secrets_expiry ON drawbridge.webhook_secrets (expires_at) WHERE expires_at IS NOT NULL;

-- Each good secret is a signature in every message, so there are few at once.
CREATE FUNCTION drawbridge.bound_webhook_secrets() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM drawbridge.webhook_endpoints WHERE id = NEW.endpoint_id FOR UPDATE;
    IF (SELECT count(*) FROM drawbridge.webhook_secrets
        WHERE endpoint_id = NEW.endpoint_id AND kind = NEW.kind
          AND (expires_at IS NULL OR expires_at > now())) >= 4 THEN
        RAISE EXCEPTION 'too many secrets of one endpoint'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'webhook_secrets_bound',
                  HINT = 'Wait until an earlier one has expired.';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER webhook_secrets_bound BEFORE INSERT ON drawbridge.webhook_secrets
    FOR EACH ROW EXECUTE FUNCTION drawbridge.bound_webhook_secrets();
