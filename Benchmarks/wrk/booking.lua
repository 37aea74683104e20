-- Books one night in one room, each time in another hotel on another day.

local hotels = tonumber(os.getenv("HOTELS"))
local first_day = os.time() + 7 * 86400
-- Milliseconds for which each connection waits between an answer and its next request, on average; not part of the latencies.
local pause = tonumber(os.getenv("PAUSE") or "")
local run = os.getenv("RUN")
-- How many bookings were asked for before, so that these are on other nights.
local count = tonumber(os.getenv("START") or "0")
local threads = {}

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

-- Global, so that `done` can ask each thread for them.
booked, refused = 0, 0

function setup(thread) table.insert(threads, thread) end

function request()
   count = count + 1
   -- Neighbours in time are in different hotels; a hotel's bookings follow each other.
   local hotel = count % hotels + 1
   local round = math.floor(count / hotels)
   local arrival = first_day + round % 400 * 86400
   local body = string.format(
      '{"booking_engine_id":"bench-%s-%d","hotel_id":%d,"check_in":"%s","check_out":"%s",'
      .. '"rooms":[{"room_type_id":%d,"guests":2,"plan_key":"1h"}],'
      .. '"guest":{"name":"Guest %d","email":"guest%d@example.com","phone":"050-0000-0000"}}',
      run, count, hotel, os.date("!%Y-%m-%d", arrival), os.date("!%Y-%m-%d", arrival + 86400), hotel * 10 + 1,
      count, count)
   return wrk.format(nil, nil, {
      ["Authorization"] = wrk.headers["Authorization"], ["Content-Type"] = "application/json",
      ["Host"] = wrk.headers["Host"], ["Idempotency-Key"] = run .. "-" .. count,
   }, body)
end

if pause then
   function delay() return math.random(0, 2 * pause) end
end

function response(status)
   if status == 201 then booked = booked + 1 elseif status == 409 then refused = refused + 1 end
end

function done(summary, latency)
   local booked, refused = 0, 0
   for _, thread in ipairs(threads) do
      booked = booked + thread:get("booked")
      refused = refused + thread:get("refused")
   end
   local failed = summary.requests - booked - refused
   local broken = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
   print("report requests " .. booked)
   print("report refused " .. refused)
   print("report errors " .. failed + broken)
   print(string.format("report rate %.1f", booked / (summary.duration / 1e6)))
   print(string.format("report p50 %.3f", latency:percentile(50) / 1000))
   print(string.format("report p99 %.3f", latency:percentile(99) / 1000))
end
