-- What the bridge sends for one booking of one night by a new guest: the same statements in the same two round trips
-- (Bridge/BookingStatements.swift, Sources/PMS/RhtHotel+ReservationStatements.swift), but for two that say how and not what:
-- the bridge has its inserts planned once (rht.before_inserts), and waits for the disk after the commit and not in it
-- (rht.persist). The room is drawn, not chosen.
\set hotel random(1, :hotels)
\set type :hotel * 10 + 1
\set plan 1
\set room :hotel * 100 + random(1, 4)
\set day random(90, 480)
\set booking random(1, 140000000000000)
\set guest random(1, 140000000000000)
\set night random(1, 140000000000000)
\set event random(1, 140000000000000)

\startpipeline
BEGIN ISOLATION LEVEL READ COMMITTED;
SELECT pg_try_advisory_xact_lock(hashtextextended('bench' || chr(10) || :booking::TEXT, 0));
SELECT request_hash, status, booking_id, response_body, version FROM drawbridge.idempotency_records WHERE client = 'bench' AND key = 'k' || :booking::TEXT AND created_at > now() - INTERVAL '24 hours';
SELECT pg_advisory_xact_lock(17474, :hotel::INT);
SELECT booking_id, client, status FROM drawbridge.bookings WHERE hotel_id = :hotel::INT AND booking_engine_id = 'pgbench-' || :booking::TEXT;
SELECT id, room_type_id, capacity, assignment_priority, room_number FROM rooms WHERE hotel_id = :hotel::INT AND room_type_id = ANY (ARRAY[:type::INT]) AND for_sale AND NOT is_staff_room ORDER BY id FOR UPDATE;
SELECT room_id, date FROM reservation_details WHERE hotel_id = :hotel::INT AND date >= current_date + :day::INT AND date < current_date + :day::INT + 1 AND cancelled IS NULL AND reservation_id IS DISTINCT FROM NULL;
SELECT :hotel::INT, plans_global_id, plans_hotel_id, name, plan_type::TEXT FROM get_available_plans_for_hotel(:hotel::INT);
SELECT hotel_id, plans_global_id, plans_hotel_id, adjustment_type::TEXT, adjustment_value::TEXT, condition_type::TEXT, condition_value::TEXT, CASE WHEN date_start IS NOT NULL THEN LEAST(GREATEST(date_start, DATE '0001-01-01'), DATE '9999-12-31') END, LEAST(GREATEST(COALESCE(date_end, 'infinity'), DATE '0001-01-01'), DATE '9999-12-31'), tax_type_id, tax_rate::TEXT, COALESCE(include_in_cancel_fee, FALSE) FROM plans_rates WHERE (hotel_id IS NULL OR hotel_id = ANY (ARRAY[:hotel::INT])) AND (plans_hotel_id = ANY ('{}'::INT[]) OR plans_hotel_id IS NULL AND plans_global_id = ANY (ARRAY[1])) ORDER BY id;
SELECT id FROM clients WHERE email = 'guest' || :guest::TEXT || '@example.com' AND name = 'Guest ' || :guest::TEXT AND name_kana IS NOT DISTINCT FROM NULL AND phone IS NOT DISTINCT FROM '050-0000-0000' AND legal_or_natural_person = 'natural' ORDER BY created_at, id LIMIT 1;
SELECT now();
\endpipeline

\startpipeline
SELECT set_config('plan_cache_mode', 'auto', TRUE);
INSERT INTO clients (id, name, name_kana, email, phone, legal_or_natural_person, created_by, updated_by) VALUES (('00000000-0000-4000-8000-' || lpad(to_hex(:guest::BIGINT), 12, '0'))::UUID, 'Guest ' || :guest::TEXT, NULL, 'guest' || :guest::TEXT || '@example.com', '050-0000-0000', 'natural', 2, 2);
INSERT INTO reservations (id, hotel_id, reservation_client_id, check_in, check_out, number_of_people, status, type, agent, ota_reservation_id, payment_timing, comment, created_by, updated_by) VALUES (('00000000-0000-4000-8000-' || lpad(to_hex(:booking::BIGINT), 12, '0'))::UUID, :hotel::INT, ('00000000-0000-4000-8000-' || lpad(to_hex(:guest::BIGINT), 12, '0'))::UUID, current_date + :day::INT, current_date + :day::INT + 1, 2, 'confirmed', 'web', 'Drawbridge', 'pgbench-' || :booking::TEXT, 'not_set', NULL, 2, 2);
INSERT INTO reservation_details (id, hotel_id, reservation_id, date, room_id, plans_global_id, plans_hotel_id, plan_name, plan_type, number_of_people, price, billable, created_by, updated_by) SELECT night.id, :hotel::INT, ('00000000-0000-4000-8000-' || lpad(to_hex(:booking::BIGINT), 12, '0'))::UUID, night.date, night.room, night.global_plan, night.hotel_plan, night.plan_name, night.plan_type, night.guests, night.price, TRUE, 2, 2 FROM unnest(ARRAY[('00000000-0000-4000-8000-' || lpad(to_hex(:night::BIGINT), 12, '0'))::UUID], ARRAY[current_date + :day::INT], ARRAY[:room::INT], ARRAY[1], ARRAY[NULL::INT], ARRAY['Room only'], ARRAY['per_room'], ARRAY[2], ARRAY[9800::BIGINT]) AS night (id, date, room, global_plan, hotel_plan, plan_name, plan_type, guests, price);
INSERT INTO reservation_clients (hotel_id, reservation_details_id, client_id, created_by, updated_by) SELECT :hotel::INT, detail, ('00000000-0000-4000-8000-' || lpad(to_hex(:guest::BIGINT), 12, '0'))::UUID, 2, 2 FROM unnest(ARRAY[('00000000-0000-4000-8000-' || lpad(to_hex(:night::BIGINT), 12, '0'))::UUID]) AS detail;
INSERT INTO reservation_rates (hotel_id, reservation_details_id, adjustment_type, adjustment_value, price, tax_type_id, tax_rate, include_in_cancel_fee, created_by, updated_by) SELECT :hotel::INT, rate.detail, rate.adjustment, rate.price, rate.price, rate.tax, rate.tax_rate::NUMERIC, rate.counts, 2, 2 FROM unnest(ARRAY[('00000000-0000-4000-8000-' || lpad(to_hex(:night::BIGINT), 12, '0'))::UUID], ARRAY['base_rate'], ARRAY[9800::BIGINT], ARRAY[3], ARRAY['0.1'], ARRAY[TRUE]) AS rate (detail, adjustment, price, tax, tax_rate, counts);
INSERT INTO drawbridge.bookings (booking_id, hotel_id, booking_engine_id, client, status, arrival, departure, total, currency, chargeable, hold_expires_at, told_hash) VALUES (('00000000-0000-4000-8000-' || lpad(to_hex(:booking::BIGINT), 12, '0'))::UUID, :hotel::INT, 'pgbench-' || :booking::TEXT, 'bench', 'confirmed', current_date + :day::INT, current_date + :day::INT + 1, 9800, 'JPY', 9800, NULL, sha256(convert_to('' || :booking::TEXT, 'UTF8')));
INSERT INTO drawbridge.booking_rooms (booking_id, position, room_type_id, room_id, guests, plan_key) SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(:booking::BIGINT), 12, '0'))::UUID, room.* FROM unnest(ARRAY[0::SMALLINT], ARRAY[:type::INT], ARRAY[:room::INT], ARRAY[2::SMALLINT], ARRAY['1h']) AS room;
INSERT INTO booking_sync_status (hotel_id, booking_id, booking_engine_id, sync_status, last_sync_attempt) VALUES (:hotel::INT, ('00000000-0000-4000-8000-' || lpad(to_hex(:booking::BIGINT), 12, '0'))::UUID, 'pgbench-' || :booking::TEXT, 'synced', now());
INSERT INTO drawbridge.outbox_events (event_id, type, hotel_id, entity_id, version, payload) VALUES (('00000000-0000-4000-8000-' || lpad(to_hex(:event::BIGINT), 12, '0'))::UUID, 'booking.created', :hotel::INT, ('00000000-0000-4000-8000-' || lpad(to_hex(:booking::BIGINT), 12, '0')), 1, ('{"type":"booking.created","timestamp":"2026-11-21T194434.421699Z","data":{"booking_id":"00000000-0000-4000-8000-000000000000","booking_engine_id":"pgbench-' || :booking::TEXT || '","hotel_id": 1,"status":"confirmed","check_in":"2027-06-10","check_out":"2027-06-11","rooms":[{"room_type_id": 11,"room_number":"204","guests": 2,"plan_key":"1h","nights":[{"date":"2027-06-10","price": 9800}]}],"guest":{"name":"Guest","name_kana": null,"email":"guest@example.com","phone":"050-0000-0000"},"total":{"amount": 9800,"currency":"JPY"},"sync":{"status":"synced","last_attempt":"2026-11-21T194434.421699Z","error": null},"version": 1,"created_at":"2026-11-21T194434.421699Z","updated_at":"2026-11-21T194434.421699Z"}}')::JSON);
INSERT INTO booking_engine_audit_log (hotel_id, action, entity_type, entity_id, request_data, response_data, status, error_message, request_id, actor) VALUES (:hotel::INT, 'create', 'booking', '00000000-0000-4000-8000-' || lpad(to_hex(:booking::BIGINT), 12, '0'), '{"booking_engine_id":"be-1","check_in":"2027-06-10","check_out":"2027-06-11","rooms":[{"room_type_id": 11,"guests": 2,"plan_key":"1h"}],"guest":{"name":"***","email":"***","phone":"***"},"payment_timing":"not_set"}'::JSONB, '{"status":"confirmed","version": 1,"total":{"amount": 9800,"currency":"JPY"}}'::JSONB, 'success', NULL, '4be1c9d2f03a77516e0000000000002f', 'https://demo.drawbridge.example booking-engine');
INSERT INTO drawbridge.idempotency_records (client, key, request_hash, status, booking_id, version, response_body) VALUES ('bench', 'k' || :booking::TEXT, sha256(convert_to('' || :booking::TEXT, 'UTF8')), 201, ('00000000-0000-4000-8000-' || lpad(to_hex(:booking::BIGINT), 12, '0'))::UUID, 1, convert_to(repeat('x', 700), 'UTF8')) ON CONFLICT (client, key) DO UPDATE SET request_hash = EXCLUDED.request_hash, status = EXCLUDED.status, booking_id = EXCLUDED.booking_id, version = EXCLUDED.version, response_body = EXCLUDED.response_body, created_at = now() WHERE idempotency_records.created_at <= now() - INTERVAL '24 hours';
COMMIT;
\endpipeline
