-- An endpoint may have to show that whoever subscribed it has a say there: it is sent nothing until it has answered a challenge.
ALTER TABLE drawbridge.webhook_endpoints
    ADD COLUMN verifies_ownership BOOLEAN NOT NULL DEFAULT FALSE,
    DROP CONSTRAINT webhook_endpoints_disabled_reason_check,
    ADD CONSTRAINT webhook_endpoints_disabled_reason_check
        CHECK (disabled_reason IN ('requested', 'rights', 'gone', 'failing', 'unverified'));
COMMENT ON COLUMN drawbridge.webhook_endpoints.verifies_ownership IS 'Its address is sent nothing before it has answered a challenge';
COMMENT ON COLUMN drawbridge.webhook_endpoints.disabled_reason IS
    'requested: by its client or an administrator; rights: its client has lost the hotels; gone: it answered 410; failing: '
    'for days nothing but failure; unverified: it has not answered its challenge';
