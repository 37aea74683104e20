-- Tokens that count no more although their issuer's signature and their times say that they do, by their `jti`, and the
-- number that tells the bridges in one look that something has changed.

CREATE TABLE drawbridge.revoked_tokens (
    issuer TEXT NOT NULL DEFAULT '*' CHECK (octet_length(issuer) BETWEEN 1 AND 512),
    jti TEXT NOT NULL CHECK (octet_length(jti) BETWEEN 1 AND 255 AND jti !~ '[[:cntrl:]]'),
    revoked_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at TIMESTAMPTZ NOT NULL DEFAULT now() + INTERVAL '366 days',
    revoked_by TEXT NOT NULL DEFAULT session_user,
    reason TEXT,
    PRIMARY KEY (issuer, jti)
);

COMMENT ON TABLE drawbridge.revoked_tokens IS 'Tokens that every gateway refuses within a second';
COMMENT ON COLUMN drawbridge.revoked_tokens.issuer IS 'The iss of the tokens; * whichever issuer made them';
COMMENT ON COLUMN drawbridge.revoked_tokens.expires_at IS
    'Not before the token''s own exp: the row is deleted then, and a token that lived longer would be good again';

-- One row. Changes wait for each other on it, so that whoever sees a version sees every change up to it.
CREATE TABLE drawbridge.revoked_token_state (
    is_only BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only),
    version BIGINT NOT NULL
);
INSERT INTO drawbridge.revoked_token_state (version) VALUES (1);

-- Gateways hold them all. One more than they can hold is refused here, where it is noticed: left out there, a revoked token
-- would open the door. Whoever may write the table need not have rights on the state, so this runs as its owner.
CREATE FUNCTION drawbridge.note_token_revocation() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE drawbridge.revoked_token_state SET version = version + 1;
    IF TG_OP IN ('INSERT', 'UPDATE') AND (SELECT count(*) FROM drawbridge.revoked_tokens) > 10000 THEN
        RAISE EXCEPTION 'there are 10000 revoked tokens already, the most that gateways hold'
            USING HINT = 'Replace the issuer''s key, which ends all its tokens, or delete rows whose tokens have expired.';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER revoked_tokens_changed
    AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE ON drawbridge.revoked_tokens
    FOR EACH STATEMENT EXECUTE FUNCTION drawbridge.note_token_revocation();
