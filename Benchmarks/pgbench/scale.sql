-- Ten thousand hotels of 5 room types with 4 rooms each and 40 stays to come, all in one partition: a partition for each hotel
-- would take PostgreSQL minutes to make and is not what is measured. They come as history: no change log rows.
SET session_replication_role = replica;
CREATE TABLE room_types_rest PARTITION OF room_types DEFAULT;
CREATE TABLE rooms_rest PARTITION OF rooms DEFAULT;
CREATE TABLE plans_hotel_rest PARTITION OF plans_hotel DEFAULT;
CREATE TABLE addons_hotel_rest PARTITION OF addons_hotel DEFAULT;
CREATE TABLE reservation_details_rest PARTITION OF reservation_details DEFAULT;
INSERT INTO hotels (id, name, formal_name, address) SELECT id, 'Hotel ' || id, 'Hotel ' || id || ' KK', 'Somewhere ' || id
FROM generate_series(1001, 11000) AS id;
INSERT INTO room_types (id, hotel_id, name, description)
SELECT hotel * 10 + type, hotel, 'Type ' || type, 'A room type like many others'
FROM generate_series(1001, 11000) AS hotel, generate_series(1, 5) AS type;
INSERT INTO rooms (id, hotel_id, room_type_id, room_number, capacity)
SELECT hotel * 100 + room, hotel, hotel * 10 + 1 + room % 5, room::TEXT, 1 + room % 2
FROM generate_series(1001, 11000) AS hotel, generate_series(1, 20) AS room;
INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, number_of_people, price)
SELECT hotel, gen_random_uuid(), current_date + (stay * 53 + hotel * 7) % 480 + night, hotel * 100 + 1 + stay % 20, 1, 9000
FROM generate_series(1001, 11000) AS hotel, generate_series(0, 39) AS stay, generate_series(0, 1) AS night;
ANALYZE hotels, room_types, rooms, reservation_details;
-- The next bridge that starts reads everything anew.
UPDATE drawbridge.catalogue_state SET format = NULL;
