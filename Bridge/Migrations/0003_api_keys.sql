-- What the ways in need of the database: for API keys, beside the seed's columns, whose key it is, when it was revoked, and
-- a number that tells the bridges in one look that something has changed; for tokens, the keys that issuers published last.

-- A client keeps its bookings when its key is rotated, so they belong to a name that outlives the key. Keys that were
-- made before each belong to a client of their own.
ALTER TABLE booking_engine_api_keys
    ADD COLUMN client TEXT NOT NULL DEFAULT gen_random_uuid()::TEXT CHECK (client ~ '^[A-Za-z0-9._-]{1,64}$'),
    ADD COLUMN revoked_at TIMESTAMPTZ;

COMMENT ON COLUMN booking_engine_api_keys.client IS 'Who uses the key; several keys may be one client''s';
COMMENT ON COLUMN booking_engine_api_keys.is_active IS 'FALSE revokes the key, which every gateway knows within a second';

-- The state of the keys, in one row. Changes of keys wait for each other on it, so that whoever sees a version sees every
-- change up to it. That a key was used is no change.
CREATE TABLE drawbridge.api_key_state (
    is_only BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only),
    version BIGINT NOT NULL
);
INSERT INTO drawbridge.api_key_state (version) VALUES (1);

-- The PMS's own role may be the one that removes a hotel, and with it the hotel's keys; so this runs as its owner.
CREATE FUNCTION drawbridge.note_api_key_change() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE drawbridge.api_key_state SET version = version + 1;
    RETURN NULL;
END
$$;

CREATE TRIGGER api_keys_changed
    AFTER INSERT OR DELETE OR TRUNCATE
       OR UPDATE OF hotel_id, api_key_hash, client, scopes, is_active, expires_at ON booking_engine_api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION drawbridge.note_api_key_change();

-- However it is revoked, when is written down.
CREATE FUNCTION drawbridge.note_api_key_revocation() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    NEW.revoked_at := CASE WHEN NEW.is_active THEN NULL ELSE COALESCE(OLD.revoked_at, now()) END;
    RETURN NEW;
END
$$;

CREATE TRIGGER api_keys_revoked
    BEFORE UPDATE OF is_active ON booking_engine_api_keys
    FOR EACH ROW EXECUTE FUNCTION drawbridge.note_api_key_revocation();

-- The key set that an issuer published last, so that a bridge that starts while the issuer is away knows its keys.
CREATE TABLE drawbridge.issuer_key_sets (
    issuer TEXT PRIMARY KEY CHECK (length(issuer) BETWEEN 1 AND 2048),
    url TEXT NOT NULL,
    key_set TEXT NOT NULL CHECK (length(key_set) <= 262144),
    fetched_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
