-- Demo hotels for the demo PMS. Everything follows from the hotel's number and the day it is loaded, so two loads on
-- one day are the same. Call demo_load_hotels in batches of at most 100 hotels: each new partition keeps several locks
-- until its transaction ends, and the server's lock table is finite.

-- The plans every hotel shares, with a rate of every kind.
INSERT INTO plans_global (id, name, description, plan_type, color, created_by) VALUES
    (1, '素泊まり Room only', 'The room, nothing else', 'per_room', '#4C9F70', 1),
    (2, '朝食付き Breakfast', 'Breakfast from 6:30 to 10:00', 'per_person', '#E0A458', 1),
    (3, '連泊割 Long stay', 'Cheaper, without daily cleaning', 'per_room', '#5B7DB1', 1);
SELECT setval('plans_global_id_seq', 3);

INSERT INTO plans_rates (plans_global_id, adjustment_type, adjustment_value, tax_type_id, tax_rate,
                         include_in_cancel_fee, condition_type, condition_value, date_start, date_end, created_by)
VALUES
    (1, 'base_rate', 9800, 3, 0.10, TRUE, 'no_restriction', NULL, '2020-01-01', NULL, 1),
    (1, 'percentage', 20, 3, 0.10, TRUE, 'day_of_week', '["friday", "saturday"]', '2020-01-01', NULL, 1),
    (1, 'percentage', 12.5, 3, 0.10, TRUE, 'month', '["august", "december"]', '2020-01-01', NULL, 1),
    (2, 'base_rate', 7200, 3, 0.10, TRUE, 'no_restriction', NULL, '2020-01-01', NULL, 1),
    (2, 'flat_fee', 1100, 3, 0.10, FALSE, 'no_restriction', NULL, '2020-01-01', NULL, 1),
    (2, 'percentage', 15, 3, 0.10, TRUE, 'day_of_week', '["saturday"]', '2020-01-01', NULL, 1),
    (3, 'base_rate', 9800, 3, 0.10, TRUE, 'no_restriction', NULL, '2020-01-01', NULL, 1),
    (3, 'percentage', -18.25, 3, 0.10, TRUE, 'no_restriction', NULL, '2020-01-01', NULL, 1);

INSERT INTO addons_global (name, addon_type, description, price, tax_type_id, tax_rate, created_by) VALUES
    ('朝食 Breakfast', 'breakfast', 'Rice, grilled fish, miso soup', 1100, 3, 0.10, 1),
    ('夕食 Dinner', 'dinner', 'Set menu of the season', 2800, 3, 0.10, 1),
    ('駐車場 Parking', 'parking', 'One car, one night', 800, 3, 0.10, 1);

-- A number that looks random and always is the same for the same hotel, room and slot of the calendar.
CREATE FUNCTION demo_noise(hotel INT, room INT, slot INT) RETURNS INT LANGUAGE sql IMMUTABLE AS $$
    SELECT ((hotel::BIGINT * 7919 + room::BIGINT * 104729 + slot::BIGINT * 1299709) % 1000003
            * 2654435761 % 1000003)::INT
$$;

-- The day it is where the demo hotels stand.
CREATE FUNCTION demo_today() RETURNS DATE LANGUAGE sql STABLE AS $$
    SELECT (now() AT TIME ZONE 'Asia/Tokyo')::DATE
$$;

CREATE FUNCTION demo_load_catalogue(from_id INT, to_id INT) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    japanese CONSTANT TEXT[] := ARRAY['朝凪', '汐見坂', '蛍沢', '雪椿', '千鳥ヶ原', '木漏れ日', '若竹', '瑠璃浜', '楓の谷', '月ノ瀬'];
    english CONSTANT TEXT[] := ARRAY['Asanagi', 'Shiomizaka', 'Hotarusawa', 'Yukitsubaki', 'Chidorigahara', 'Komorebi',
                                     'Wakatake', 'Rurihama', 'Kaedenotani', 'Tsukinose'];
    kinds CONSTANT TEXT[] := ARRAY['ホテル', '旅館', 'イン'];
    english_kinds CONSTANT TEXT[] := ARRAY['Hotel', 'Ryokan', 'Inn'];
BEGIN
    INSERT INTO hotels (id, name, formal_name, facility_type, open_date, total_rooms, postal_code, address, email,
                        phone_number, latitude, longitude, sort_order, created_by)
    SELECT hotel, japanese[place] || kinds[kind] || CASE WHEN hotel > 30 THEN ' ' || hotel ELSE '' END,
           english[place] || ' ' || english_kinds[kind] || ' No. ' || hotel, english_kinds[kind],
           DATE '1990-04-01' + hotel * 11 % 12000, 20 + hotel * 7 % 41,
           lpad((hotel % 1000)::TEXT, 3, '0') || '-0000', english[place] || ' ' || hotel || '-1, Japan',
           'stay' || hotel || '@hotel.invalid', '050-0000-' || lpad((hotel % 10000)::TEXT, 4, '0'),
           34 + hotel % 900 / 100.0, 135 + hotel % 500 / 100.0, hotel, 1
    FROM generate_series(from_id, to_id) AS hotel,
         LATERAL (SELECT 1 + hotel % 10 AS place, 1 + hotel / 10 % 3 AS kind) AS picked;

    INSERT INTO room_types (id, hotel_id, name, description, created_by)
    SELECT hotel * 10 + number, hotel, name, description, 1
    FROM generate_series(from_id, to_id) AS hotel,
         (VALUES (1, 'スタンダードダブル Standard Double', 'A double bed and a desk by the window'),
                 (2, 'シングル Single', 'A quiet room for one'),
                 (3, 'ツイン Twin', 'Two beds, room for a third'),
                 (4, '和室 Japanese Room', 'Ten tatami mats, futons laid out in the evening')
         ) AS room_type (number, name, description)
    WHERE number <= 3 + hotel % 2;

    -- A tenth or so is closed for sale, the last room of each house is the staff's.
    INSERT INTO rooms (id, hotel_id, room_type_id, floor, room_number, capacity, smoking, has_wet_area, for_sale,
                       is_staff_room, assignment_priority, created_by)
    SELECT hotels.id * 100 + number, hotels.id, hotels.id * 10 + room_type, 2 + (number - 1) / 10,
           ((2 + (number - 1) / 10) * 100 + (number - 1) % 10 + 1)::TEXT, (ARRAY[2, 1, 3, 4])[room_type],
           number % 7 = 0, number % 3 = 0, number % 13 <> 0, number = total_rooms,
           CASE WHEN number % 5 <> 0 THEN number END, 1
    FROM hotels, generate_series(1, total_rooms) AS number,
         LATERAL (SELECT 1 + number % (3 + hotels.id % 2) AS room_type) AS picked
    WHERE hotels.id BETWEEN from_id AND to_id;

    -- Plan 1 has rates of its own, plan 2 takes those of global plan 1, plan 3 is a summer offer.
    INSERT INTO plans_hotel (id, hotel_id, plans_global_id, name, description, plan_type, color, created_by)
    SELECT hotel * 10 + number, hotel, global_id, name, description, plan_type, color, 1
    FROM generate_series(from_id, to_id) AS hotel,
         (VALUES (1, NULL, '二食付き Half board', 'Dinner of the season and breakfast', 'per_person', '#B15B7D'),
                 (2, 1, '直販スタンダード Direct standard', 'Booked with the hotel itself', 'per_room', '#4C9F70'),
                 (3, NULL, '夏の特別 Summer offer', 'July to September', 'per_room', '#E05858')
         ) AS plan (number, global_id, name, description, plan_type, color)
    WHERE number <= 2 + hotel % 2;

    INSERT INTO hotel_plan_exclusions (hotel_id, global_plan_id)
    SELECT hotel, 3 FROM generate_series(from_id, to_id) AS hotel WHERE hotel % 4 = 0;

    INSERT INTO plans_rates (hotel_id, plans_hotel_id, adjustment_type, adjustment_value, tax_type_id, tax_rate,
                             include_in_cancel_fee, condition_type, condition_value, date_start, created_by)
    SELECT hotel, hotel * 10 + number, adjustment,
           value + CASE adjustment WHEN 'base_rate' THEN hotel % 7 * 500 ELSE 0 END, 3, 0.10,
           adjustment <> 'flat_fee', condition, condition_value, '2020-01-01', 1
    FROM generate_series(from_id, to_id) AS hotel,
         (VALUES (1, 'base_rate', 13500.00, 'no_restriction', NULL),
                 (1, 'percentage', 15, 'day_of_week', '["friday", "saturday"]'),
                 (1, 'percentage', 12.75, 'month', '["january", "august", "december"]'),
                 (1, 'flat_fee', 150, 'no_restriction', NULL),
                 (3, 'base_rate', 8400, 'month', '["july", "august", "september"]'),
                 (3, 'flat_fee', -500, 'day_of_week', '["monday", "tuesday"]')
         ) AS rate (number, adjustment, value, condition, condition_value)
    WHERE number <= 2 + hotel % 2;

    INSERT INTO addons_hotel (id, hotel_id, addons_global_id, name, addon_type, description, price, tax_type_id,
                              tax_rate, visible, created_by)
    SELECT hotel * 10 + number, hotel, NULL, name, addon_type, description, price, 3, 0.10, number < 3, 1
    FROM generate_series(from_id, to_id) AS hotel,
         (VALUES (1, '貸切風呂 Private bath', 'other', 'Fifty minutes', 2200),
                 (2, '弁当 Lunch box', 'lunch', 'Ready at nine', 900),
                 (3, '会議室 Meeting room', 'other', 'By the hour', 3000)
         ) AS addon (number, name, addon_type, description, price);
END
$$;

-- What each shared plan costs on each night of the demo calendar, by the PMS's formula.
CREATE FUNCTION demo_prices(first DATE, last DATE) RETURNS TABLE (plan_id INT, night DATE, price NUMERIC)
LANGUAGE sql STABLE AS $$
    SELECT plans_global_id, night::DATE, floor((base + base * percentage / 100 + flat) / 100) * 100
    FROM generate_series(first, last, INTERVAL '1 day') AS night, LATERAL (
        SELECT plans_global_id,
               sum(adjustment_value) FILTER (WHERE adjustment_type = 'base_rate') AS base,
               COALESCE(sum(adjustment_value) FILTER (WHERE adjustment_type = 'percentage'), 0) AS percentage,
               COALESCE(sum(adjustment_value) FILTER (WHERE adjustment_type = 'flat_fee'), 0) AS flat
        FROM plans_rates
        WHERE hotel_id IS NULL AND night BETWEEN date_start AND COALESCE(date_end, night)
            AND CASE condition_type
                WHEN 'day_of_week' THEN condition_value::JSONB ? trim(to_char(night, 'day'))
                WHEN 'month' THEN condition_value::JSONB ? trim(to_char(night, 'month'))
                ELSE TRUE END
        GROUP BY plans_global_id) AS rates
$$;

-- Reservations from three weeks ago to sixty days ahead: each room's calendar is cut into three slots of 27 days, and a
-- slot holds at most one stay that starts and ends in it. So nothing here is booked twice.
CREATE FUNCTION demo_load_reservations(from_id INT, to_id INT, today DATE) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    families CONSTANT TEXT[] := ARRAY['青木 Aoki', '星野 Hoshino', '水沢 Mizusawa', '早川 Hayakawa', '森下 Morishita',
                                      '北村 Kitamura', '西園 Nishizono', '桜田 Sakurada'];
    kana CONSTANT TEXT[] := ARRAY['アオキ', 'ホシノ', 'ミズサワ', 'ハヤカワ', 'モリシタ', 'キタムラ', 'ニシゾノ', 'サクラダ'];
BEGIN
    INSERT INTO clients (id, name, name_kana, name_kanji, legal_or_natural_person, gender, email, phone, created_by)
    SELECT md5('client ' || hotel || ' ' || number)::UUID, split_part(families[pick], ' ', 2) || ' No. ' || number,
           kana[pick], split_part(families[pick], ' ', 1), 'natural',
           (ARRAY['female', 'male', 'other'])[1 + number % 3],
           'guest' || hotel || '.' || number || '@example.com', '050-0000-' || lpad(number::TEXT, 4, '0'), 1
    FROM generate_series(from_id, to_id) AS hotel, generate_series(0, 19) AS number,
         LATERAL (SELECT 1 + (hotel + number) % 8 AS pick) AS picked;

    CREATE TEMPORARY TABLE demo_stay ON COMMIT DROP AS
    SELECT md5('reservation ' || rooms.id || ' ' || slot)::UUID AS id, hotel_id, rooms.id AS room_id, arrival,
           arrival + 1 + noise / 22 % 5 AS departure, noise,
           CASE noise % 2 WHEN 0 THEN capacity ELSE 1 END AS people,
           CASE WHEN noise % 17 = 0 THEN 'cancelled'
                WHEN arrival + 1 + noise / 22 % 5 <= today THEN 'checked_out'
                WHEN arrival <= today THEN 'checked_in'
                ELSE (ARRAY['hold', 'provisory', 'confirmed', 'confirmed', 'confirmed', 'confirmed'])[1 + noise % 6]
           END AS status,
           md5('client ' || hotel_id || ' ' || noise % 20)::UUID AS client_id
    FROM rooms, generate_series(0, 2) AS slot, LATERAL (SELECT demo_noise(hotel_id, rooms.id, slot)) AS drawn (noise),
         LATERAL (SELECT today - 21 + slot * 27 + noise % 22) AS placed (arrival)
    WHERE hotel_id BETWEEN from_id AND to_id AND for_sale AND NOT is_staff_room AND noise % 10 < 7;

    -- The house keeps a room back for five nights after the last slot: one not bookable, one held for somebody.
    INSERT INTO demo_stay
    SELECT md5('block ' || rooms.id)::UUID, hotel_id, rooms.id, today + 60, today + 65, 0, capacity, 'block',
           CASE rooms.id % 100 WHEN 3 THEN '11111111-1111-1111-1111-111111111111'::UUID
                               ELSE '22222222-2222-2222-2222-222222222222' END
    FROM rooms WHERE hotel_id BETWEEN from_id AND to_id AND rooms.id % 100 IN (3, 4);

    -- Every third house has a guest who is promised a room but not yet given one.
    INSERT INTO demo_stay
    SELECT md5('roomless ' || hotel)::UUID, hotel, NULL, today + 7, today + 8, 1, 1, 'confirmed',
           md5('client ' || hotel || ' 0')::UUID
    FROM generate_series(from_id, to_id) AS hotel WHERE hotel % 3 = 1;

    INSERT INTO reservations (id, hotel_id, reservation_client_id, check_in, check_out, number_of_people, status, type,
                              agent, ota_reservation_id, payment_timing, created_at, created_by, updated_by)
    SELECT id, hotel_id, client_id, arrival, departure, people, status,
           CASE WHEN noise % 3 = 0 AND status <> 'block' THEN 'ota' ELSE 'default' END,
           CASE WHEN noise % 3 = 0 AND status <> 'block' THEN 'Demo Travel' END,
           CASE WHEN noise % 3 = 0 AND status <> 'block' THEN 'DT' || upper(left(id::TEXT, 8)) END,
           (ARRAY['not_set', 'prepaid', 'on-site', 'postpaid'])[1 + noise % 4],
           (arrival - noise % 40)::TIMESTAMP, 1, 1
    FROM demo_stay;

    CREATE TEMPORARY TABLE demo_night ON COMMIT DROP AS
    SELECT md5('night ' || stay.id || night)::UUID AS id, stay.id AS reservation_id, hotel_id, night AS date, room_id,
           people, status, client_id, price, CASE status WHEN 'cancelled' THEN md5('cancelled ' || stay.id)::UUID END
           AS cancelled
    FROM demo_stay AS stay
    JOIN demo_prices(today - 21, today + 65) ON plan_id = 1 AND night >= arrival AND night < departure;

    INSERT INTO reservation_details (id, hotel_id, reservation_id, date, room_id, plans_global_id, plan_name, plan_type,
                                     number_of_people, price, cancelled, billable, created_by, updated_by)
    SELECT id, hotel_id, reservation_id, date, room_id, CASE WHEN status <> 'block' THEN 1 END,
           CASE WHEN status <> 'block' THEN '素泊まり Room only' END, 'per_room', people,
           CASE WHEN status = 'block' THEN 0 ELSE price END, cancelled,
           status NOT IN ('block', 'cancelled', 'hold'), 1, 1
    FROM demo_night;

    INSERT INTO reservation_clients (id, hotel_id, reservation_details_id, client_id, created_by, updated_by)
    SELECT md5('guest ' || id)::UUID, hotel_id, id, client_id, 1, 1 FROM demo_night;

    INSERT INTO reservation_rates (id, hotel_id, reservation_details_id, adjustment_type, adjustment_value, tax_type_id,
                                   tax_rate, price, include_in_cancel_fee, created_by, updated_by)
    SELECT md5('rate ' || id)::UUID, hotel_id, id, 'base_rate', price, 3, 0.10, price, TRUE, 1, 1
    FROM demo_night WHERE status <> 'block';

    DROP TABLE demo_stay, demo_night;
END
$$;

-- Creates the hotels numbered from_id to to_id with everything in them. They come as history: no change log rows, no
-- announcements, which would be hundreds per hotel. That takes a superuser, which the installation's own cluster has.
CREATE FUNCTION demo_load_hotels(from_id INT, to_id INT, today DATE DEFAULT demo_today()) RETURNS VOID
LANGUAGE plpgsql SET session_replication_role = replica AS $$
BEGIN
    PERFORM create_hotel_partitions(from_id, to_id);
    PERFORM demo_load_catalogue(from_id, to_id);
    PERFORM demo_load_reservations(from_id, to_id, today);
    PERFORM setval('hotels_id_seq', (SELECT max(id) FROM hotels)),
            setval('room_types_id_seq', (SELECT max(id) FROM room_types)),
            setval('rooms_id_seq', (SELECT max(id) FROM rooms)),
            setval('plans_hotel_id_seq', (SELECT max(id) FROM plans_hotel)),
            setval('addons_hotel_id_seq', (SELECT max(id) FROM addons_hotel));
    -- With wal_level minimal a sequence that was used in the very transaction that made it counts on values that are in no
    -- log: after a crash it would give up to 32 of them once more. Set again, it is logged.
    PERFORM setval(format('%I.%I', schemaname, sequencename)::REGCLASS, last_value)
    FROM pg_sequences WHERE last_value IS NOT NULL;
END
$$;
