-- What the bridge keeps of the hotels between two triggers, the triggers themselves, and the pictures that the PMS has no
-- place for.

-- The state of the catalogue, in one row. Changes wait for each other on it, so that whoever sees a version sees every change
-- up to it; by that the bridges on one database learn of each other's refreshes.
CREATE TABLE drawbridge.catalogue_state (
    is_only BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only),
    version BIGINT NOT NULL,
    format INTEGER CHECK (format > 0)
);
INSERT INTO drawbridge.catalogue_state (version) VALUES (1);
COMMENT ON COLUMN drawbridge.catalogue_state.format IS
    'In which form the documents are that were read when it was filled; NULL: it is filled at the next start of a bridge';

-- A hotel as it was read last, in documents that only the bridge reads. NULL: it could not be read yet. What it is and what it
-- sells are written by different triggers, so one never undoes what the other has read.
CREATE TABLE drawbridge.catalogue_hotels (
    hotel_id INTEGER PRIMARY KEY,
    position INTEGER NOT NULL,
    hotel JSONB,
    offer JSONB,
    version BIGINT NOT NULL,
    availability_version BIGINT NOT NULL DEFAULT 0
);
COMMENT ON COLUMN drawbridge.catalogue_hotels.position IS 'The place in the order in which the PMS shows its hotels';
COMMENT ON COLUMN drawbridge.catalogue_hotels.version IS 'The version of the catalogue that changed this row last';
COMMENT ON COLUMN drawbridge.catalogue_hotels.availability_version IS
    'The version at which somebody asked for its availability to be read anew';

-- Pictures are the bridge's own: nothing else has them, so back them up. They do not go with the hotel, which may only have
-- been missing when the PMS was read, and are shown again when it is back.
CREATE TABLE drawbridge.hotel_images (
    hotel_id INTEGER NOT NULL,
    position SMALLINT NOT NULL CHECK (position >= 0 AND position < 64),
    url TEXT NOT NULL CHECK (url LIKE 'https://_%' AND octet_length(url) <= 2048),
    caption TEXT CHECK (length(caption) <= 300),
    room_type_id INTEGER CHECK (room_type_id > 0),
    width INTEGER CHECK (width BETWEEN 1 AND 65535),
    height INTEGER CHECK (height BETWEEN 1 AND 65535),
    PRIMARY KEY (hotel_id, position)
);

-- When what was last read; in the PMS's schema, under the name that the integration guide gives.
CREATE TABLE booking_engine_cache_status (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cache_type TEXT NOT NULL CHECK (cache_type IN ('hotels', 'room_types', 'availability')),
    hotel_id INTEGER NOT NULL REFERENCES hotels (id) ON DELETE CASCADE,
    last_updated TIMESTAMPTZ NOT NULL DEFAULT now(),
    cache_ttl_minutes INTEGER NOT NULL DEFAULT 15 CHECK (cache_ttl_minutes > 0),
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT booking_engine_cache_status_once UNIQUE (cache_type, hotel_id)
);

-- Who asked for what to be read anew, and what came of it. There is no foreign key to hotels: what was done stays on record
-- when a hotel goes, and it must be possible to write down that a trigger failed while the PMS's tables are locked.
CREATE TABLE booking_engine_cache_triggers (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trigger_type TEXT NOT NULL CHECK (trigger_type IN ('manual', 'scheduled', 'pms_triggered')),
    cache_type TEXT NOT NULL CHECK (cache_type IN ('hotels', 'room_types', 'availability')),
    hotel_id INTEGER,
    hotel_ids INTEGER[],
    triggered_by TEXT NOT NULL CHECK (triggered_by IN ('admin', 'pms', 'system')),
    client TEXT CHECK (length(client) BETWEEN 1 AND 512),
    status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
    updated_count INTEGER NOT NULL DEFAULT 0 CHECK (updated_count >= 0),
    removed_count INTEGER NOT NULL DEFAULT 0 CHECK (removed_count >= 0),
    unchanged_count INTEGER NOT NULL DEFAULT 0 CHECK (unchanged_count >= 0),
    failed_count INTEGER NOT NULL DEFAULT 0 CHECK (failed_count >= 0),
    error_message TEXT CHECK (length(error_message) <= 1000),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    completed_at TIMESTAMPTZ,
    CONSTRAINT booking_engine_cache_triggers_ended CHECK
        ((status IN ('completed', 'failed')) = (completed_at IS NOT NULL)),
    CONSTRAINT booking_engine_cache_triggers_failure_said CHECK (status <> 'failed' OR error_message IS NOT NULL)
);
COMMENT ON COLUMN booking_engine_cache_triggers.hotel_id IS 'The hotel, where it is about exactly one';
COMMENT ON COLUMN booking_engine_cache_triggers.hotel_ids IS 'The hotels it is about; NULL: every one';
CREATE INDEX booking_engine_cache_triggers_open ON booking_engine_cache_triggers (created_at)
    WHERE status IN ('pending', 'processing');
CREATE INDEX booking_engine_cache_triggers_age ON booking_engine_cache_triggers (created_at);
