-- Writes into the PMS that nobody waits for: holds whose time is over, bookings taken while the PMS was away, moves to other
-- rooms. A bridge claims one by counting its attempt and putting the next one off, so that it is another bridge's turn when
-- this one dies; what an attempt does commits only while its claim is the last one. What succeeds at once leaves no row.
CREATE TABLE drawbridge.pms_writes (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operation TEXT NOT NULL CHECK (operation IN ('expire_hold', 'settle_booking', 'move_booking')),
    hotel_id INTEGER NOT NULL,
    booking_id UUID NOT NULL,
    payload JSONB NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(payload) = 'object'),
    status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'retrying', 'resolved', 'abandoned', 'dead')),
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    earlier_attempts INTEGER NOT NULL DEFAULT 0 CHECK (earlier_attempts >= 0),
    claims INTEGER NOT NULL DEFAULT 0 CHECK (claims >= 0),
    next_attempt_at TIMESTAMPTZ DEFAULT now(),
    first_attempt_at TIMESTAMPTZ,
    last_attempt_at TIMESTAMPTZ,
    error_code TEXT,
    error_message TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    dead_at TIMESTAMPTZ,
    resolved_at TIMESTAMPTZ,
    resolved_by TEXT,
    notes TEXT CHECK (length(notes) BETWEEN 1 AND 1000),
    CONSTRAINT pms_writes_open_has_next CHECK ((status IN ('pending', 'retrying')) = (next_attempt_at IS NOT NULL)),
    CONSTRAINT pms_writes_dead_when CHECK (status <> 'dead' OR dead_at IS NOT NULL AND error_code IS NOT NULL),
    CONSTRAINT pms_writes_end CHECK ((status IN ('resolved', 'abandoned')) = (resolved_at IS NOT NULL)),
    CONSTRAINT pms_writes_abandoned_why CHECK (status <> 'abandoned' OR notes IS NOT NULL AND resolved_by IS NOT NULL)
);
COMMENT ON TABLE drawbridge.pms_writes IS 'Writes into the PMS that nobody waits for; dead: a dead letter';
COMMENT ON COLUMN drawbridge.pms_writes.payload IS 'What the operation needs besides the booking; nothing about its guest';
COMMENT ON COLUMN drawbridge.pms_writes.earlier_attempts IS 'Those before it was last retried by somebody';
COMMENT ON COLUMN drawbridge.pms_writes.claims IS 'Tells the last claim from those before it';

-- A booking waits for one write of a kind at a time.
CREATE UNIQUE INDEX pms_writes_once ON drawbridge.pms_writes (booking_id, operation)
    WHERE status IN ('pending', 'retrying', 'dead');
CREATE INDEX pms_writes_abandoned ON drawbridge.pms_writes (booking_id, operation) WHERE status = 'abandoned';
CREATE INDEX pms_writes_due ON drawbridge.pms_writes (next_attempt_at) WHERE status IN ('pending', 'retrying');
CREATE INDEX pms_writes_open ON drawbridge.pms_writes (hotel_id, id) WHERE status IN ('pending', 'retrying');
CREATE INDEX pms_writes_dead ON drawbridge.pms_writes (id) WHERE status = 'dead';
CREATE INDEX pms_writes_ended ON drawbridge.pms_writes (resolved_at) WHERE status IN ('resolved', 'abandoned');
