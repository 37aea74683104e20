-- What the bridges on one database share to note, once, what the front desk does to bookings of ours.

-- Which of them leads: whoever holds an advisory lock. Each change of it begins a new term, and what a leader writes says in
-- which: one that stood still and does not know yet that another has taken over writes nothing any more.
CREATE TABLE drawbridge.leadership (
    only_row BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    term BIGINT NOT NULL CHECK (term >= 0),
    since TIMESTAMPTZ NOT NULL DEFAULT now()
);
INSERT INTO drawbridge.leadership (term) VALUES (0);

-- Fails the transaction unless the term still runs; lets no other begin before the transaction ends.
CREATE FUNCTION drawbridge.require_term(expected BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM drawbridge.leadership WHERE term = expected FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'another bridge leads' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
END
$$;

-- Up to where the PMS's change log has been read for bookings. No row before the first reading.
CREATE TABLE drawbridge.change_log_position (
    only_row BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    resume_point BIGINT NOT NULL CHECK (resume_point >= 0),
    newest BIGINT NOT NULL CHECK (newest >= resume_point),
    newest_mark TEXT,
    noted_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON COLUMN drawbridge.change_log_position.resume_point IS 'Every row up to here was read, or cannot come any more';
COMMENT ON COLUMN drawbridge.change_log_position.newest_mark IS
    'What tells the newest row seen from another with its number: the log may have been restored';

-- Bookings to be compared with the PMS, because the front desk has changed something about them or a room of theirs is taken
-- twice. They are written down together with the position, and go when the booking agrees, or tells of its conflict; a
-- conflict stays until it is over.
CREATE TABLE drawbridge.booking_checks (
    booking_id UUID PRIMARY KEY REFERENCES drawbridge.bookings ON DELETE CASCADE,
    hotel_id INTEGER NOT NULL,
    asked INTEGER NOT NULL DEFAULT 1 CHECK (asked >= 1),
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    asked_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    due_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON COLUMN drawbridge.booking_checks.asked IS
    'Raised whenever it is asked for again: a check that had begun before does not answer it';
CREATE INDEX booking_checks_due ON drawbridge.booking_checks (due_at);

-- What of the reservation is told with this version, as a hash: where the PMS has something else, the front desk changed it.
ALTER TABLE drawbridge.bookings ADD COLUMN told_hash BYTEA CHECK (length(told_hash) = 32);
COMMENT ON COLUMN drawbridge.bookings.told_hash IS 'NULL: not known, as of bookings made before it was kept';

-- The front desk may let two rooms of a booking change places from night to night, so that both begin in the same one.
ALTER TABLE drawbridge.booking_rooms DROP CONSTRAINT booking_rooms_room_once;
