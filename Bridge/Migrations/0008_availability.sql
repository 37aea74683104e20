-- What hotels have decided about the sale of their rooms, which the PMS has no place for, and what was last known to be free.

-- Counts the changes of restrictions and allowances, in one row. Changes wait for each other on it, so that whoever sees a
-- version sees every change up to it; by that the bridges on one database learn of them.
CREATE TABLE drawbridge.restriction_state (
    is_only BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only),
    version BIGINT NOT NULL
);
INSERT INTO drawbridge.restriction_state (version) VALUES (1);

-- A hotel that has set any, even if it has taken them away since: its version goes on counting, as the entity tag of what
-- clients see.
CREATE TABLE drawbridge.hotel_restrictions (
    hotel_id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL CHECK (version >= 1),
    changed_in BIGINT NOT NULL,
    set_by TEXT NOT NULL CHECK (length(set_by) BETWEEN 1 AND 512),
    set_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON COLUMN drawbridge.hotel_restrictions.changed_in IS 'The version of restriction_state that this was set in';

-- Rules about stays, in the order in which they were given. They are the bridge's own: nothing else has them, so back them up.
CREATE TABLE drawbridge.stay_restrictions (
    hotel_id INTEGER NOT NULL REFERENCES drawbridge.hotel_restrictions ON DELETE CASCADE,
    position SMALLINT NOT NULL CHECK (position >= 0 AND position < 300),
    room_type_id INTEGER CHECK (room_type_id > 0),
    start_date DATE NOT NULL,
    end_date DATE NOT NULL,
    weekdays SMALLINT CHECK (weekdays BETWEEN 1 AND 127),
    minimum_nights SMALLINT CHECK (minimum_nights BETWEEN 1 AND 64),
    maximum_nights SMALLINT CHECK (maximum_nights BETWEEN 1 AND 64),
    closed_to_arrival BOOLEAN NOT NULL,
    closed_to_departure BOOLEAN NOT NULL,
    stop_sell BOOLEAN NOT NULL,
    PRIMARY KEY (hotel_id, position),
    CONSTRAINT stay_restrictions_dates CHECK (start_date < end_date AND isfinite(start_date) AND isfinite(end_date)),
    CONSTRAINT stay_restrictions_lengths CHECK (minimum_nights <= maximum_nights),
    CONSTRAINT stay_restrictions_say_something CHECK
        (closed_to_arrival OR closed_to_departure OR stop_sell OR num_nonnulls(minimum_nights, maximum_nights) > 0)
);
COMMENT ON COLUMN drawbridge.stay_restrictions.room_type_id IS 'NULL: every room type';
COMMENT ON COLUMN drawbridge.stay_restrictions.end_date IS 'The day after the last date it is about';
COMMENT ON COLUMN drawbridge.stay_restrictions.weekdays IS 'Bit 0 is Monday; NULL: all seven';

-- Rooms that a hotel sells of a type beyond those it has free.
CREATE TABLE drawbridge.overbooking_allowances (
    hotel_id INTEGER NOT NULL REFERENCES drawbridge.hotel_restrictions ON DELETE CASCADE,
    room_type_id INTEGER NOT NULL CHECK (room_type_id > 0),
    rooms SMALLINT NOT NULL CHECK (rooms BETWEEN 1 AND 100),
    PRIMARY KEY (hotel_id, room_type_id)
);

-- What a hotel has set, as the documents that bridges read. What is not asked for of it is not made.
CREATE VIEW drawbridge.restriction_documents AS
SELECT hotel_id, version, changed_in,
       (SELECT jsonb_agg(
            jsonb_build_object(
                'roomType', rule.room_type_id, 'start', rule.start_date, 'end', rule.end_date,
                'weekdays', rule.weekdays, 'minimumNights', rule.minimum_nights,
                'maximumNights', rule.maximum_nights, 'closedToArrival', rule.closed_to_arrival,
                'closedToDeparture', rule.closed_to_departure, 'stopSell', rule.stop_sell) ORDER BY rule.position)
        FROM drawbridge.stay_restrictions AS rule WHERE rule.hotel_id = hotel.hotel_id) AS restrictions,
       (SELECT jsonb_object_agg(allowance.room_type_id, allowance.rooms)
        FROM drawbridge.overbooking_allowances AS allowance
        WHERE allowance.hotel_id = hotel.hotel_id) AS overbooking
FROM drawbridge.hotel_restrictions AS hotel;

-- A room of a booking that was sold beyond those that were free has none until the front desk finds it one.
ALTER TABLE drawbridge.booking_rooms ALTER COLUMN room_id DROP NOT NULL;
COMMENT ON COLUMN drawbridge.booking_rooms.room_id IS 'The room it was sold as; NULL: none, it was sold beyond the free ones';

-- What was known to be taken at each hotel, as bytes that only the bridge reads: what a bridge that starts while the PMS is
-- away answers from. A cache: deleted, it is written again.
CREATE TABLE drawbridge.availability_cache (
    hotel_id INTEGER PRIMARY KEY,
    content BYTEA NOT NULL,
    written_at TIMESTAMPTZ NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
CREATE INDEX availability_cache_age ON drawbridge.availability_cache USING brin (written_at);

-- Availability is fresh or stale by room type, too. Room types that were read by themselves since the hotel was read whole.
ALTER TABLE booking_engine_cache_status ADD COLUMN room_types_updated JSONB
    CONSTRAINT booking_engine_cache_status_types CHECK
        (room_types_updated IS NULL
         OR cache_type = 'availability' AND jsonb_typeof(room_types_updated) = 'object');
COMMENT ON COLUMN booking_engine_cache_status.room_types_updated IS
    'When which room type was read by itself, later than last_updated; NULL: none was';
