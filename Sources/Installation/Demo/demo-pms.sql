-- The demo property management system: our own schema with the tables, columns and key shapes of the rht-hotel PMS that
-- the adapter reads and writes. Applied once, to an empty database, in one transaction (the caller's).
--
-- As in the original: entities of a hotel have the key (hotel_id, id) and live in one partition per hotel, so an insert
-- for a hotel without partitions fails; timestamps have no zone; every change of a reservation is logged and announced;
-- nothing stops two reservations from taking the same room on the same night.

-- Staff ---------------------------------------------------------------------------------------------------------------

CREATE TABLE user_status (
    id SERIAL PRIMARY KEY,
    status_name VARCHAR(50) NOT NULL UNIQUE,
    description TEXT
);

CREATE TABLE user_roles (
    id SERIAL PRIMARY KEY,
    role_name VARCHAR(50) NOT NULL UNIQUE,
    permissions JSONB DEFAULT '{}',
    description TEXT
);

CREATE TABLE users (
    id SERIAL PRIMARY KEY,
    email VARCHAR(255) NOT NULL UNIQUE,
    name TEXT,
    password_hash TEXT,
    status_id INT DEFAULT 1 REFERENCES user_status (id),
    role_id INT REFERENCES user_roles (id),
    auth_provider VARCHAR(50) NOT NULL DEFAULT 'local',
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    created_by INT REFERENCES users (id),
    updated_by INT REFERENCES users (id)
);

-- Hotels and rooms ----------------------------------------------------------------------------------------------------

CREATE TABLE hotels (
    id SERIAL PRIMARY KEY,
    formal_name VARCHAR(255),
    name VARCHAR(255) NOT NULL,
    facility_type VARCHAR(255),
    open_date DATE,
    total_rooms INT,
    postal_code VARCHAR(20),
    address TEXT,
    email TEXT,
    phone_number VARCHAR(20),
    latitude DECIMAL(9, 6),
    longitude DECIMAL(9, 6),
    sort_order INT NOT NULL DEFAULT 0,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    created_by INT REFERENCES users (id),
    updated_by INT REFERENCES users (id)
);

CREATE TABLE room_types (
    id SERIAL,
    hotel_id INT REFERENCES hotels (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    created_by INT REFERENCES users (id),
    updated_by INT REFERENCES users (id),
    PRIMARY KEY (hotel_id, id),
    UNIQUE (hotel_id, name)
) PARTITION BY LIST (hotel_id);

CREATE TABLE rooms (
    id SERIAL,
    hotel_id INT NOT NULL REFERENCES hotels (id) ON DELETE CASCADE,
    room_type_id INT NOT NULL,
    floor INT NOT NULL DEFAULT 1,
    room_number TEXT NOT NULL,
    capacity INT NOT NULL DEFAULT 1,
    smoking BOOLEAN NOT NULL DEFAULT FALSE,
    has_wet_area BOOLEAN NOT NULL DEFAULT FALSE,
    for_sale BOOLEAN NOT NULL DEFAULT TRUE,
    is_staff_room BOOLEAN NOT NULL DEFAULT FALSE,
    assignment_priority INT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    created_by INT REFERENCES users (id),
    updated_by INT REFERENCES users (id),
    PRIMARY KEY (hotel_id, id),
    UNIQUE (hotel_id, room_type_id, room_number),
    FOREIGN KEY (room_type_id, hotel_id) REFERENCES room_types (id, hotel_id) ON DELETE CASCADE
) PARTITION BY LIST (hotel_id);

-- Guests --------------------------------------------------------------------------------------------------------------

CREATE TABLE clients (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id INT,
    name TEXT NOT NULL DEFAULT 'TBD',
    name_kana TEXT,
    name_kanji TEXT,
    date_of_birth DATE,
    legal_or_natural_person TEXT CHECK (legal_or_natural_person IN ('legal', 'natural')),
    gender TEXT DEFAULT 'other' CHECK (gender IN ('male', 'female', 'other')),
    email TEXT,
    phone TEXT,
    fax TEXT,
    comment TEXT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    created_by INT REFERENCES users (id),
    updated_by INT REFERENCES users (id)
);
CREATE INDEX clients_email ON clients (email);

-- Plans, rates, add-ons -----------------------------------------------------------------------------------------------

CREATE TABLE tax_info (
    id SERIAL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT,
    percentage DECIMAL(10, 4) NOT NULL,
    visible BOOLEAN DEFAULT TRUE,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    created_by INT REFERENCES users (id),
    updated_by INT REFERENCES users (id)
);

CREATE TABLE plans_global (
    id SERIAL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT,
    plan_type TEXT NOT NULL DEFAULT 'per_room' CHECK (plan_type IN ('per_person', 'per_room')),
    color VARCHAR(7) DEFAULT '#D3D3D3' CHECK (color ~ '^#[0-9A-Fa-f]{6}$'),
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    created_by INT REFERENCES users (id),
    updated_by INT REFERENCES users (id)
);

CREATE TABLE plans_hotel (
    id SERIAL,
    hotel_id INT NOT NULL REFERENCES hotels (id) ON DELETE CASCADE,
    plans_global_id INT REFERENCES plans_global (id) ON DELETE SET NULL,
    name TEXT NOT NULL,
    description TEXT,
    plan_type TEXT NOT NULL DEFAULT 'per_room' CHECK (plan_type IN ('per_person', 'per_room')),
    color VARCHAR(7) DEFAULT '#D3D3D3' CHECK (color ~ '^#[0-9A-Fa-f]{6}$'),
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    created_by INT REFERENCES users (id),
    updated_by INT REFERENCES users (id),
    PRIMARY KEY (hotel_id, id),
    UNIQUE (hotel_id, name)
) PARTITION BY LIST (hotel_id);

-- A global plan that one hotel does not offer.
CREATE TABLE hotel_plan_exclusions (
    id SERIAL PRIMARY KEY,
    hotel_id INT NOT NULL REFERENCES hotels (id) ON DELETE CASCADE,
    global_plan_id INT NOT NULL REFERENCES plans_global (id) ON DELETE CASCADE,
    UNIQUE (hotel_id, global_plan_id)
);

-- Rates of a global plan (hotel_id NULL) or of a hotel's plan. A percentage is in per cent: 15.00 adds 15 %.
CREATE TABLE plans_rates (
    id SERIAL PRIMARY KEY,
    hotel_id INT REFERENCES hotels (id) ON DELETE CASCADE,
    plans_global_id INT REFERENCES plans_global (id) ON DELETE CASCADE,
    plans_hotel_id INT,
    adjustment_type TEXT NOT NULL CHECK (adjustment_type IN ('base_rate', 'percentage', 'flat_fee')),
    adjustment_value DECIMAL(10, 2) NOT NULL,
    tax_type_id INT REFERENCES tax_info (id),
    tax_rate DECIMAL(12, 4),
    include_in_cancel_fee BOOLEAN NOT NULL DEFAULT FALSE,
    condition_type TEXT NOT NULL CHECK (condition_type IN ('no_restriction', 'day_of_week', 'month')),
    condition_value TEXT,
    date_start DATE NOT NULL,
    date_end DATE,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    created_by INT REFERENCES users (id),
    updated_by INT REFERENCES users (id),
    FOREIGN KEY (plans_hotel_id, hotel_id) REFERENCES plans_hotel (id, hotel_id) ON DELETE CASCADE,
    CHECK ((plans_global_id IS NULL) <> (plans_hotel_id IS NULL))
);
CREATE INDEX plans_rates_hotel ON plans_rates (hotel_id, plans_hotel_id);

CREATE TABLE addons_global (
    id SERIAL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    addon_type TEXT DEFAULT 'other' CHECK (addon_type IN ('breakfast', 'lunch', 'dinner', 'parking', 'other')),
    description TEXT,
    price DECIMAL NOT NULL,
    tax_type_id INT REFERENCES tax_info (id),
    tax_rate DECIMAL(12, 4),
    visible BOOLEAN DEFAULT TRUE,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    created_by INT REFERENCES users (id),
    updated_by INT REFERENCES users (id)
);

CREATE TABLE addons_hotel (
    id SERIAL,
    hotel_id INT NOT NULL REFERENCES hotels (id) ON DELETE CASCADE,
    addons_global_id INT REFERENCES addons_global (id) ON DELETE SET NULL,
    name TEXT NOT NULL,
    addon_type TEXT DEFAULT 'other' CHECK (addon_type IN ('breakfast', 'lunch', 'dinner', 'parking', 'other')),
    description TEXT,
    price DECIMAL NOT NULL,
    tax_type_id INT REFERENCES tax_info (id),
    tax_rate DECIMAL(12, 4),
    visible BOOLEAN DEFAULT TRUE,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    created_by INT REFERENCES users (id),
    updated_by INT REFERENCES users (id),
    PRIMARY KEY (hotel_id, id),
    UNIQUE (hotel_id, name)
) PARTITION BY LIST (hotel_id);

-- Reservations --------------------------------------------------------------------------------------------------------

-- Each foreign key costs every partition a little to make, so keys that others imply are left out: created_by and
-- updated_by are copied to the change log, which refuses an unknown user; what hangs on a reservation has its hotel.

CREATE TABLE reservations (
    id UUID DEFAULT gen_random_uuid(),
    hotel_id INT NOT NULL REFERENCES hotels (id) ON DELETE CASCADE,
    reservation_client_id UUID NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    check_in DATE NOT NULL,
    check_in_time TIME DEFAULT '16:00',
    check_out DATE NOT NULL,
    check_out_time TIME DEFAULT '10:00',
    number_of_people INT NOT NULL,
    status TEXT NOT NULL DEFAULT 'hold'
        CHECK (status IN ('hold', 'provisory', 'confirmed', 'checked_in', 'checked_out', 'cancelled', 'block')),
    type TEXT NOT NULL DEFAULT 'default' CHECK (type IN ('default', 'employee', 'ota', 'web')),
    agent TEXT,
    ota_reservation_id TEXT,
    payment_timing TEXT NOT NULL DEFAULT 'not_set'
        CHECK (payment_timing IN ('not_set', 'prepaid', 'on-site', 'postpaid')),
    comment TEXT,
    has_important_comment BOOLEAN NOT NULL DEFAULT FALSE,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    created_by INT,
    updated_by INT,
    PRIMARY KEY (hotel_id, id)
) PARTITION BY LIST (hotel_id);

CREATE TABLE reservation_details (
    id UUID DEFAULT gen_random_uuid(),
    hotel_id INT NOT NULL,
    reservation_id UUID NOT NULL,
    date DATE NOT NULL,
    room_id INT,
    plans_global_id INT REFERENCES plans_global (id),
    plans_hotel_id INT,
    plan_name TEXT,
    plan_type TEXT NOT NULL DEFAULT 'per_room' CHECK (plan_type IN ('per_person', 'per_room')),
    number_of_people INT NOT NULL,
    price DECIMAL,
    cancelled UUID,
    billable BOOLEAN DEFAULT FALSE,
    is_accommodation BOOLEAN NOT NULL DEFAULT TRUE,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    created_by INT,
    updated_by INT,
    PRIMARY KEY (hotel_id, id)
) PARTITION BY LIST (hotel_id);
-- Within one reservation a room-night stands once; across reservations it may stand twice.
CREATE UNIQUE INDEX reservation_details_active ON reservation_details (hotel_id, reservation_id, room_id, date)
    WHERE cancelled IS NULL;
CREATE INDEX reservation_details_hotel_date ON reservation_details (hotel_id, date);

CREATE TABLE reservation_clients (
    id UUID DEFAULT gen_random_uuid(),
    hotel_id INT NOT NULL,
    reservation_details_id UUID NOT NULL,
    client_id UUID NOT NULL REFERENCES clients (id),
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    created_by INT,
    updated_by INT,
    PRIMARY KEY (hotel_id, id)
) PARTITION BY LIST (hotel_id);

CREATE TABLE reservation_rates (
    id UUID DEFAULT gen_random_uuid(),
    hotel_id INT NOT NULL,
    reservation_details_id UUID NOT NULL,
    adjustment_type TEXT DEFAULT 'base_rate' CHECK (adjustment_type IN ('base_rate', 'percentage', 'flat_fee')),
    adjustment_value DECIMAL(10, 2) NOT NULL,
    tax_type_id INT REFERENCES tax_info (id),
    tax_rate DECIMAL(12, 4),
    price NUMERIC(12, 0) NOT NULL,
    include_in_cancel_fee BOOLEAN NOT NULL DEFAULT FALSE,
    net_price NUMERIC(12, 0) GENERATED ALWAYS AS (FLOOR(price / (1 + tax_rate))) STORED,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    created_by INT,
    updated_by INT,
    PRIMARY KEY (hotel_id, id)
) PARTITION BY LIST (hotel_id);

-- Makes the partitions of the hotels from_id to to_id. Reservations and their details have one per hotel, named as the PMS
-- names them (`reservation_details_1` is what its change log shows), below one for the whole call, which also holds the
-- keys among them: the server reads all siblings and all keys again whenever a partition is added, and a thousand hotels
-- should load in well under a minute. All else shares one partition per call.
CREATE FUNCTION create_hotel_partitions(from_id INT, to_id INT) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    shared CONSTANT TEXT[] := ARRAY[
        'room_types', 'rooms', 'plans_hotel', 'addons_hotel', 'reservation_clients', 'reservation_rates'];
    per_hotel CONSTANT TEXT[] := ARRAY['reservations', 'reservation_details'];
    suffix TEXT := '_' || from_id || '_to_' || to_id;
    hotels TEXT := (SELECT string_agg(id::TEXT, ',') FROM generate_series(from_id, to_id) AS id);
    parent TEXT;
    hotel INT;
BEGIN
    FOREACH parent IN ARRAY shared LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES IN (%s)', parent || suffix, parent, hotels);
    END LOOP;
    FOREACH parent IN ARRAY per_hotel LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES IN (%s) PARTITION BY LIST (hotel_id)',
                       parent || suffix, parent, hotels);
    END LOOP;
    EXECUTE format(
        'ALTER TABLE %I ADD FOREIGN KEY (reservation_id, hotel_id) REFERENCES %I (id, hotel_id) ON DELETE CASCADE,
                        ADD FOREIGN KEY (room_id, hotel_id) REFERENCES %I (id, hotel_id),
                        ADD FOREIGN KEY (plans_hotel_id, hotel_id) REFERENCES %I (id, hotel_id)',
        'reservation_details' || suffix, 'reservations' || suffix, 'rooms' || suffix, 'plans_hotel' || suffix);
    FOREACH parent IN ARRAY ARRAY['reservation_clients', 'reservation_rates'] LOOP
        EXECUTE format(
            'ALTER TABLE %I ADD FOREIGN KEY (reservation_details_id, hotel_id) REFERENCES %I (id, hotel_id)
                            ON DELETE CASCADE', parent || suffix, 'reservation_details' || suffix);
    END LOOP;
    FOREACH parent IN ARRAY per_hotel LOOP
        FOR hotel IN from_id .. to_id LOOP
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES IN (%s)',
                           parent || '_' || hotel, parent || suffix, hotel);
        END LOOP;
    END LOOP;
END
$$;

-- The change log ------------------------------------------------------------------------------------------------------

CREATE TABLE logs_hotel (
    id SERIAL PRIMARY KEY,
    log_time TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    user_id INT REFERENCES users (id),
    table_name TEXT NOT NULL,
    action TEXT NOT NULL,
    record_id INT NOT NULL,
    changes JSONB,
    ip_address INET
);

CREATE TABLE logs_hotel_plans (
    id SERIAL PRIMARY KEY,
    log_time TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    user_id INT REFERENCES users (id),
    table_name TEXT NOT NULL,
    action TEXT NOT NULL,
    record_id INT NOT NULL,
    changes JSONB,
    ip_address INET
);

CREATE TABLE logs_clients (
    id SERIAL PRIMARY KEY,
    log_time TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    user_id INT REFERENCES users (id),
    table_name TEXT NOT NULL,
    action TEXT NOT NULL,
    record_id UUID NOT NULL,
    changes JSONB,
    ip_address INET
);

CREATE TABLE logs_reservation (
    id SERIAL PRIMARY KEY,
    log_time TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    user_id INT REFERENCES users (id),
    table_name TEXT NOT NULL,
    action TEXT NOT NULL,
    record_id UUID NOT NULL,
    changes JSONB,
    ip_address INET
);
CREATE INDEX logs_reservation_record_id ON logs_reservation (record_id);

-- What a log row keeps of a change: the row that came or went, or both versions of it.
CREATE FUNCTION logged_change(action TEXT, old_row JSONB, new_row JSONB) RETURNS JSONB LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE action
        WHEN 'INSERT' THEN new_row
        WHEN 'DELETE' THEN old_row
        ELSE jsonb_build_object('old', old_row, 'new', new_row)
    END
$$;

-- Logs a change of a hotel, plan or client to the log table named by the trigger; these logs announce nothing.
CREATE FUNCTION log_change() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'INSERT INTO %I (user_id, table_name, action, record_id, changes, ip_address)
         VALUES ($1, $2, $3, $4, $5, inet_client_addr())', TG_ARGV[0])
    USING COALESCE(NEW.updated_by, OLD.updated_by, NEW.created_by), TG_TABLE_NAME, TG_OP, COALESCE(NEW.id, OLD.id),
          logged_change(TG_OP, to_jsonb(OLD), to_jsonb(NEW));
    RETURN NULL;
END
$$;

-- Logs a change of a reservation and announces the log row. The setting my_app.user_id must be absent or a number: the
-- empty string that SET LOCAL leaves behind makes a later statement of the session fail, as in the original.
CREATE FUNCTION log_reservations_changes() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    session_user_id INT;
    log_id INT;
BEGIN
    IF TG_OP = 'DELETE' OR NEW.updated_by IS NULL THEN
        session_user_id := current_setting('my_app.user_id', TRUE)::INT;
    END IF;
    INSERT INTO logs_reservation (user_id, table_name, action, record_id, changes, ip_address)
    VALUES (COALESCE(NEW.updated_by, NEW.created_by, session_user_id), TG_TABLE_NAME, TG_OP, COALESCE(NEW.id, OLD.id),
            logged_change(TG_OP, to_jsonb(OLD), to_jsonb(NEW)), inet_client_addr())
    RETURNING id INTO log_id;
    PERFORM pg_notify('reservation_log_inserted', log_id::TEXT);
    RETURN NULL;
END
$$;

CREATE TRIGGER log_hotels AFTER INSERT OR UPDATE OR DELETE ON hotels
    FOR EACH ROW EXECUTE FUNCTION log_change('logs_hotel');
CREATE TRIGGER log_room_types AFTER INSERT OR UPDATE OR DELETE ON room_types
    FOR EACH ROW EXECUTE FUNCTION log_change('logs_hotel');
CREATE TRIGGER log_rooms AFTER INSERT OR UPDATE OR DELETE ON rooms
    FOR EACH ROW EXECUTE FUNCTION log_change('logs_hotel');
CREATE TRIGGER log_plans_global AFTER INSERT OR UPDATE OR DELETE ON plans_global
    FOR EACH ROW EXECUTE FUNCTION log_change('logs_hotel_plans');
CREATE TRIGGER log_plans_hotel AFTER INSERT OR UPDATE OR DELETE ON plans_hotel
    FOR EACH ROW EXECUTE FUNCTION log_change('logs_hotel_plans');
CREATE TRIGGER log_plans_rates AFTER INSERT OR UPDATE OR DELETE ON plans_rates
    FOR EACH ROW EXECUTE FUNCTION log_change('logs_hotel_plans');
CREATE TRIGGER log_clients AFTER INSERT OR UPDATE OR DELETE ON clients
    FOR EACH ROW EXECUTE FUNCTION log_change('logs_clients');
CREATE TRIGGER log_reservations AFTER INSERT OR UPDATE OR DELETE ON reservations
    FOR EACH ROW EXECUTE FUNCTION log_reservations_changes();
CREATE TRIGGER log_reservation_details AFTER INSERT OR UPDATE OR DELETE ON reservation_details
    FOR EACH ROW EXECUTE FUNCTION log_reservations_changes();
CREATE TRIGGER log_reservation_clients AFTER INSERT OR UPDATE OR DELETE ON reservation_clients
    FOR EACH ROW EXECUTE FUNCTION log_reservations_changes();
CREATE TRIGGER log_reservation_rates AFTER INSERT OR UPDATE OR DELETE ON reservation_rates
    FOR EACH ROW EXECUTE FUNCTION log_reservations_changes();

-- The plans a hotel offers: its own, and the global ones it does not exclude.
CREATE FUNCTION get_available_plans_for_hotel(p_hotel_id INT)
RETURNS TABLE (
    plans_global_id INT, plans_hotel_id INT, plan_key TEXT, name TEXT, description TEXT, plan_type TEXT,
    color VARCHAR(7)
) LANGUAGE sql STABLE AS $$
    SELECT own.plans_global_id, own.id, COALESCE(own.plans_global_id::TEXT, '') || 'h' || own.id,
           own.name, own.description, own.plan_type, own.color
    FROM plans_hotel AS own
    WHERE own.hotel_id = p_hotel_id
    UNION ALL
    SELECT shared.id, NULL, shared.id || 'h', shared.name, shared.description, shared.plan_type, shared.color
    FROM plans_global AS shared
    WHERE NOT EXISTS (
        SELECT FROM hotel_plan_exclusions AS excluded
        WHERE excluded.hotel_id = p_hotel_id AND excluded.global_plan_id = shared.id)
$$;

-- What every installation of the PMS starts with ----------------------------------------------------------------------

INSERT INTO user_status (status_name, description) VALUES ('有効', 'Active account'), ('無効', 'Disabled account');
INSERT INTO user_roles (role_name, permissions, description) VALUES
    ('アドミン', '{"manage_db": true, "manage_users": true, "crud_ok": true}', 'Everything, in every hotel'),
    ('エディター', '{"manage_clients": true, "crud_ok": true}', 'Reservations and guests'),
    ('閲覧者', '{"crud_ok": false}', 'Reads only');

-- User 1 is the front desk; user 2 is the bridge, which signs its writes with it. Neither can log in.
INSERT INTO users (email, name, role_id, auth_provider) VALUES
    ('front-desk@demo.invalid', 'フロント Front Desk', 1, 'demo'),
    ('bridge@demo.invalid', 'Drawbridge', 2, 'demo');

INSERT INTO clients (id, name, name_kana, name_kanji, legal_or_natural_person, created_by) VALUES
    ('11111111-1111-1111-1111-111111111111', '予約不可', 'ヨヤクフカ', '予約不可', 'legal', 1),
    ('22222222-2222-2222-2222-222222222222', '押さえ', 'オサエ', '押さえ', 'legal', 1);

INSERT INTO tax_info (name, percentage, created_by) VALUES ('非課税', 0, 1), ('課税8%', 0.08, 1), ('課税10%', 0.10, 1);
