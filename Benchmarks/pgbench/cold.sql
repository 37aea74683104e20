-- A hotel of 300 rooms in 5 types with 100,000 past reservations of two nights each, and some thousands to come. They come as history:
-- no change log rows, no announcements.
SET session_replication_role = replica;
INSERT INTO hotels (id, name) VALUES (900, 'Cold Hotel');
SELECT create_hotel_partitions(900, 900);
INSERT INTO room_types (id, hotel_id, name) SELECT 900000 + type, 900, 'Type ' || type FROM generate_series(1, 5) AS type;
INSERT INTO rooms (id, hotel_id, room_type_id, room_number, capacity)
SELECT 900000 + room, 900, 900001 + room % 5, room::TEXT, 2 + room % 3 FROM generate_series(1, 300) AS room;
WITH made AS (
    INSERT INTO reservations (hotel_id, reservation_client_id, check_in, check_out, number_of_people, status)
    SELECT 900, (SELECT id FROM clients LIMIT 1), current_date + stay.day, current_date + stay.day + 2, 2, 'confirmed'
    FROM (SELECT 600 - number / 300 * 2 AS day FROM generate_series(0, 102999) AS number) AS stay
    RETURNING id, check_in
), numbered AS (SELECT id, check_in, row_number() OVER (PARTITION BY check_in) AS room FROM made)
INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, number_of_people, price)
SELECT 900, id, check_in - CASE WHEN check_in > current_date + 60 THEN 800 ELSE 0 END + night, 900000 + room, 2, 9000
FROM numbered, generate_series(0, 1) AS night;
ANALYZE reservation_details;
