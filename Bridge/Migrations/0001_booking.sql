-- Bookings made through the bridge, and the answers it has given, in its own schema beside the PMS's tables.

CREATE SCHEMA IF NOT EXISTS drawbridge;

-- What a client booked. The reservation in the PMS is the substance (rooms, nights, prices, guest); this row is what
-- the PMS has no place for. There is no foreign key to reservations: the front desk may delete a reservation, and the
-- booking engine must still be told what became of its booking.
CREATE TABLE drawbridge.bookings (
    booking_id UUID PRIMARY KEY,
    hotel_id INTEGER NOT NULL,
    booking_engine_id TEXT NOT NULL CHECK (length(booking_engine_id) BETWEEN 1 AND 64),
    client TEXT NOT NULL CHECK (length(client) BETWEEN 1 AND 512),
    status TEXT NOT NULL CHECK (status IN ('hold', 'confirmed', 'cancelled', 'expired')),
    version INTEGER NOT NULL DEFAULT 1 CHECK (version >= 1),
    arrival DATE NOT NULL,
    departure DATE NOT NULL,
    total BIGINT NOT NULL CHECK (total >= 0),
    currency CHAR(3) NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    hold_expires_at TIMESTAMPTZ,
    cancelled_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT bookings_engine_id_once UNIQUE (hotel_id, booking_engine_id),
    CONSTRAINT bookings_nights CHECK (departure > arrival),
    CONSTRAINT bookings_hold_expires CHECK (status <> 'hold' OR hold_expires_at IS NOT NULL),
    CONSTRAINT bookings_cancelled_when CHECK ((status = 'cancelled') = (cancelled_at IS NOT NULL))
);
COMMENT ON COLUMN drawbridge.bookings.booking_id IS 'The id of the reservation in the PMS';
COMMENT ON COLUMN drawbridge.bookings.client IS 'Who booked, and alone may confirm a hold or change the booking';
COMMENT ON COLUMN drawbridge.bookings.total IS 'In minor units of the currency, over all rooms and nights';

-- Holds that end next; lists that ask what changed since.
CREATE INDEX bookings_hold_expiry ON drawbridge.bookings (hold_expires_at) WHERE status = 'hold';
CREATE INDEX bookings_updated ON drawbridge.bookings (hotel_id, updated_at, booking_id);

-- The rooms of a booking, in the order in which they were asked for.
CREATE TABLE drawbridge.booking_rooms (
    booking_id UUID NOT NULL REFERENCES drawbridge.bookings ON DELETE CASCADE,
    position SMALLINT NOT NULL CHECK (position >= 0),
    room_type_id INTEGER NOT NULL,
    room_id INTEGER NOT NULL,
    guests SMALLINT NOT NULL CHECK (guests >= 1),
    plan_key TEXT NOT NULL CHECK (plan_key ~ '^[0-9]*h[0-9]*$' AND plan_key <> 'h'),
    PRIMARY KEY (booking_id, position),
    CONSTRAINT booking_rooms_room_once UNIQUE (booking_id, room_id)
);

-- Answers already given, kept for 24 hours, so that a request sent twice is carried out once. A record commits together
-- with what it answers for; that a request is still under way is told by an advisory lock, which dies with its session.
CREATE TABLE drawbridge.idempotency_records (
    client TEXT NOT NULL CHECK (length(client) BETWEEN 1 AND 512),
    key TEXT NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request_hash BYTEA NOT NULL CHECK (length(request_hash) = 32),
    status INTEGER NOT NULL CHECK (status BETWEEN 200 AND 499),
    booking_id UUID,
    version INTEGER NOT NULL,
    response_body BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (client, key)
);
COMMENT ON COLUMN drawbridge.idempotency_records.request_hash IS 'SHA-256 of method, target and body';
CREATE INDEX idempotency_records_age ON drawbridge.idempotency_records (created_at);
