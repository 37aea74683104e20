-- Where a hotel's booking engine is, under the name that the integration guide gives it, in the PMS's own schema: a row with
-- sync_enabled is an endpoint of webhooks, which is told of the hotel's bookings. Its secret is made when it is first needed;
-- `drawbridge webhook rotate-secret` makes one that its receiver can be told.
CREATE TABLE booking_engine_config (
    id SERIAL PRIMARY KEY,
    hotel_id INTEGER NOT NULL REFERENCES hotels (id) ON DELETE CASCADE,
    booking_engine_url TEXT NOT NULL,
    sync_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    sync_interval_minutes INTEGER NOT NULL DEFAULT 5 CHECK (sync_interval_minutes BETWEEN 1 AND 1440),
    endpoint_id UUID NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);
COMMENT ON COLUMN booking_engine_config.sync_interval_minutes IS
    'Kept for programs that read it: events are sent at once, and failed ones again by the policy';
COMMENT ON COLUMN booking_engine_config.endpoint_id IS 'Its endpoint of webhooks';

-- Counts what subscribers are told of a hotel, its room types and what is free there: the versions of those events.
ALTER TABLE drawbridge.catalogue_hotels ADD COLUMN told_version INTEGER NOT NULL DEFAULT 0;

CREATE FUNCTION drawbridge.follow_booking_engine_config() RETURNS TRIGGER LANGUAGE plpgsql
SECURITY DEFINER SET search_path = drawbridge, pg_temp AS $$
DECLARE
    -- Whoever writes here has no say over anybody else's endpoints.
    owners CONSTANT TEXT := 'urn:drawbridge:booking-engine-config ';
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM webhook_endpoints WHERE id = OLD.endpoint_id AND starts_with(client, owners);
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.endpoint_id <> OLD.endpoint_id THEN
        DELETE FROM webhook_endpoints WHERE id = OLD.endpoint_id AND starts_with(client, owners);
    END IF;
    INSERT INTO webhook_endpoints AS endpoint (
        id, client, url, events, hotel_ids, description, payload, is_ordered, is_asymmetric, backoff, maximum_retries,
        maximum_in_flight, maximum_rate, disabled_at, disabled_reason)
    VALUES (
        NEW.endpoint_id, owners || 'hotel ' || NEW.hotel_id, NEW.booking_engine_url,
        ARRAY['booking.created', 'booking.updated', 'booking.cancelled', 'booking.conflict'], ARRAY[NEW.hotel_id],
        'booking_engine_config ' || NEW.id, 'full', TRUE, FALSE, 'exponential', 9, 20, 100,
        CASE WHEN NOT NEW.sync_enabled THEN now() END, CASE WHEN NOT NEW.sync_enabled THEN 'requested' END)
    ON CONFLICT (id) DO UPDATE
    SET client = EXCLUDED.client, url = EXCLUDED.url, hotel_ids = EXCLUDED.hotel_ids,
        -- What has disabled it stands until its address, or whether it is wanted, is another.
        disabled_at = CASE
            WHEN NOT NEW.sync_enabled THEN COALESCE(endpoint.disabled_at, now())
            WHEN TG_OP = 'UPDATE' AND OLD.sync_enabled AND OLD.booking_engine_url = NEW.booking_engine_url
                THEN endpoint.disabled_at END,
        disabled_reason = CASE
            WHEN NOT NEW.sync_enabled THEN COALESCE(endpoint.disabled_reason, 'requested')
            WHEN TG_OP = 'UPDATE' AND OLD.sync_enabled AND OLD.booking_engine_url = NEW.booking_engine_url
                THEN endpoint.disabled_reason END,
        version = endpoint.version + 1, updated_at = now()
    WHERE starts_with(endpoint.client, owners);
    RETURN NULL;
END
$$;
CREATE TRIGGER booking_engine_config_followed AFTER INSERT OR UPDATE OR DELETE ON booking_engine_config
    FOR EACH ROW EXECUTE FUNCTION drawbridge.follow_booking_engine_config();
