-- Tables that the integration guide places in the PMS's own database, under the names it gives them.

-- Whether the booking engine and the PMS agree about a booking. Reservations are keyed by hotel and UUID. A row goes
-- with its reservation: a plain reference would keep the front desk from deleting one.
CREATE TABLE booking_sync_status (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hotel_id INTEGER NOT NULL,
    booking_id UUID NOT NULL,
    booking_engine_id TEXT NOT NULL CHECK (length(booking_engine_id) BETWEEN 1 AND 64),
    sync_status TEXT NOT NULL DEFAULT 'pending' CHECK (sync_status IN ('pending', 'synced', 'failed', 'conflict')),
    last_sync_attempt TIMESTAMPTZ,
    error_message TEXT,
    retry_count INTEGER NOT NULL DEFAULT 0 CHECK (retry_count >= 0),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT booking_sync_status_booking_once UNIQUE (hotel_id, booking_id),
    CONSTRAINT booking_sync_status_engine_id_once UNIQUE (hotel_id, booking_engine_id),
    CONSTRAINT booking_sync_status_reservation FOREIGN KEY (hotel_id, booking_id)
        REFERENCES reservations (hotel_id, id) ON DELETE CASCADE,
    CONSTRAINT booking_sync_status_failure_said CHECK (sync_status <> 'failed' OR error_message IS NOT NULL)
);

-- API keys, by the SHA-256 of the key; the key itself is shown once and stored nowhere. hotel_id NULL: every hotel.
CREATE TABLE booking_engine_api_keys (
    id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hotel_id INTEGER REFERENCES hotels (id) ON DELETE CASCADE,
    api_key_hash TEXT NOT NULL CHECK (api_key_hash ~ '^[0-9a-f]{64}$'),
    description TEXT,
    scopes TEXT[] NOT NULL DEFAULT '{}' CHECK (array_position(scopes, NULL) IS NULL),
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_used_at TIMESTAMPTZ,
    expires_at TIMESTAMPTZ NOT NULL DEFAULT now() + INTERVAL '90 days',
    CONSTRAINT booking_engine_api_keys_hash_once UNIQUE (api_key_hash),
    CONSTRAINT booking_engine_api_keys_lifetime CHECK (expires_at > created_at)
);
