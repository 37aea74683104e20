-- Tokens that the bridges issue themselves: the keys that sign them, and the families of refresh tokens that they come
-- of.

-- The private halves are sealed (AES-256-GCM) under a master key that is in no database. Key ids are thumbprints of the
-- public halves.
CREATE TABLE drawbridge.signing_keys (
    kid TEXT PRIMARY KEY CHECK (kid ~ '^[A-Za-z0-9_-]{43}$'),
    public_key TEXT NOT NULL CHECK (octet_length(public_key) BETWEEN 1 AND 1024),
    sealed_private_key BYTEA NOT NULL CHECK (octet_length(sealed_private_key) BETWEEN 29 AND 4096),
    master_key_id TEXT NOT NULL CHECK (master_key_id ~ '^[0-9a-f]{16}$'),
    state TEXT NOT NULL CHECK (state IN ('next', 'current', 'previous')),
    made_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    state_since TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON COLUMN drawbridge.signing_keys.state IS
    'next: published, signs nothing yet; current: signs; previous: published while tokens signed with it may live';
COMMENT ON COLUMN drawbridge.signing_keys.master_key_id IS 'Names the key under which the private half is sealed';

-- However many bridges there are, one key signs and one comes after it.
CREATE UNIQUE INDEX signing_keys_one_current ON drawbridge.signing_keys (state) WHERE state = 'current';
CREATE UNIQUE INDEX signing_keys_one_next ON drawbridge.signing_keys (state) WHERE state = 'next';

-- One row. Bridges hold it while they decide what is to be done with the keys; each change raises the version, by which
-- every bridge learns of it.
CREATE TABLE drawbridge.signing_key_state (
    is_only BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only),
    version BIGINT NOT NULL
);
INSERT INTO drawbridge.signing_key_state (version) VALUES (1);

CREATE FUNCTION drawbridge.note_signing_key_change() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE drawbridge.signing_key_state SET version = version + 1;
    RETURN NULL;
END
$$;

CREATE TRIGGER signing_keys_changed
    AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE ON drawbridge.signing_keys
    FOR EACH STATEMENT EXECUTE FUNCTION drawbridge.note_signing_key_change();

-- What an API key was exchanged for: one row for all refresh tokens that follow one another, however many. A token
-- names its family and proves itself by a secret, of both of which only the SHA-256 is here. The family's secret is
-- that of the one token that is good; a token with another one was spent before.
CREATE TABLE drawbridge.token_families (
    id TEXT PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_-]{22}$'),
    api_key_id INTEGER NOT NULL REFERENCES booking_engine_api_keys (id) ON DELETE CASCADE,
    family_hash BYTEA NOT NULL CHECK (octet_length(family_hash) = 32),
    secret_hash BYTEA NOT NULL CHECK (octet_length(secret_hash) = 32),
    scopes TEXT[] NOT NULL CHECK (array_position(scopes, NULL) IS NULL),
    issuer TEXT NOT NULL CHECK (octet_length(issuer) BETWEEN 1 AND 512),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    used_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at TIMESTAMPTZ NOT NULL,
    idle_expires_at TIMESTAMPTZ NOT NULL,
    access_expires_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    ended_by TEXT CHECK (ended_by IN ('reuse', 'key', 'limit')),
    CONSTRAINT token_families_hash_once UNIQUE (family_hash),
    CONSTRAINT token_families_end_said CHECK ((ended_at IS NULL) = (ended_by IS NULL)),
    CONSTRAINT token_families_idle_within CHECK (idle_expires_at <= expires_at)
);
COMMENT ON COLUMN drawbridge.token_families.id IS 'The sid of its access tokens; no part of a refresh token';
COMMENT ON COLUMN drawbridge.token_families.scopes IS 'What was asked for; never more than the API key grants by now';
COMMENT ON COLUMN drawbridge.token_families.access_expires_at IS 'When the last access token that came of it expires';
CREATE INDEX token_families_of_key ON drawbridge.token_families (api_key_id, used_at) WHERE ended_at IS NULL;
CREATE INDEX token_families_end ON drawbridge.token_families (LEAST(idle_expires_at, ended_at));
CREATE INDEX token_families_access_of_key ON drawbridge.token_families (api_key_id, access_expires_at);
CREATE INDEX token_families_limit ON drawbridge.token_families (access_expires_at) WHERE ended_by = 'limit';

-- A family that ends because a spent token came again takes its access tokens along: they are revoked by the family's
-- id, in one row however many they are, where they may still live. Where gateways hold nearly as many revocations as they
-- can, access tokens run out by themselves, within their quarter of an hour: that a family ends must not fail by that,
-- and the last thousand places are the administrators'. Who counts holds the state, so that nobody fills the last place
-- between counting and writing. This runs as its owner, as a trigger, so that nobody else can call it.
CREATE FUNCTION drawbridge.revoke_token_family() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM drawbridge.revoked_token_state FOR UPDATE;
    INSERT INTO drawbridge.revoked_tokens (issuer, jti, expires_at, reason)
    SELECT NEW.issuer, NEW.id, NEW.access_expires_at + INTERVAL '5 minutes', 'refresh token came again'
    WHERE NEW.access_expires_at + INTERVAL '1 minute' > now()
      AND (SELECT count(*) FROM drawbridge.revoked_tokens) < 9000
    ON CONFLICT (issuer, jti) DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER token_families_reused
    AFTER UPDATE OF ended_by ON drawbridge.token_families
    FOR EACH ROW WHEN (NEW.ended_by = 'reuse' AND OLD.ended_by IS DISTINCT FROM 'reuse')
    EXECUTE FUNCTION drawbridge.revoke_token_family();

-- With its API key end all families, whoever revokes or removes the key, and the access tokens that came of it, also
-- those of families that ended before. They are revoked by their subject, which names the key: one row, so that whoever
-- has come by a key cannot begin more families than can be revoked; and as it may be several after the issuer's name was
-- changed, ten places are left. The key's own rotation only sets its end.
CREATE FUNCTION drawbridge.end_token_families_of_key() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE drawbridge.token_families SET ended_at = now(), ended_by = 'key'
    WHERE api_key_id = OLD.id AND ended_at IS NULL;
    PERFORM FROM drawbridge.revoked_token_state FOR UPDATE;
    INSERT INTO drawbridge.revoked_tokens AS revoked (issuer, jti, expires_at, reason)
    SELECT issuer, 'api-key-' || OLD.id, max(access_expires_at) + INTERVAL '5 minutes', 'API key ended'
    FROM drawbridge.token_families
    WHERE api_key_id = OLD.id AND access_expires_at + INTERVAL '1 minute' > now()
      AND (SELECT count(*) FROM drawbridge.revoked_tokens) < 9990
    GROUP BY issuer
    ON CONFLICT (issuer, jti) DO UPDATE SET expires_at = GREATEST(revoked.expires_at, EXCLUDED.expires_at);
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$$;

CREATE TRIGGER api_keys_end_token_families
    BEFORE UPDATE OF is_active ON booking_engine_api_keys
    FOR EACH ROW WHEN (OLD.is_active AND NOT NEW.is_active)
    EXECUTE FUNCTION drawbridge.end_token_families_of_key();

CREATE TRIGGER api_keys_removed_end_token_families
    BEFORE DELETE ON booking_engine_api_keys
    FOR EACH ROW EXECUTE FUNCTION drawbridge.end_token_families_of_key();

-- For whom in the PMS a key speaks; NULL: the user in whose name the bridge writes. No reference: the PMS may remove
-- users.
ALTER TABLE booking_engine_api_keys
    ADD COLUMN pms_user_id INTEGER CHECK (pms_user_id > 0),
    ADD COLUMN replaces INTEGER;

COMMENT ON COLUMN booking_engine_api_keys.pms_user_id IS 'The user of the PMS whom the key speaks for';
COMMENT ON COLUMN booking_engine_api_keys.replaces IS 'The key in whose place this one was made by rotation';
