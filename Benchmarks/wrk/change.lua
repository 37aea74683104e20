-- Changes bookings again and again: a night later, a night longer, and back. Each connection's request goes to the next of the
-- bookings in the file CHANGED (lines of id, version and three days), whichever version it has by then.

local threads = {}
local known = {}
-- As in booking.lua.
local pause = tonumber(os.getenv("PAUSE") or "")
local count = 0

wrk.method = "PUT"
wrk.headers["Content-Type"] = "application/json"

-- Global, so that `done` can ask each thread for them.
changed, refused = 0, 0

for line in io.lines(os.getenv("CHANGED")) do
   local id, _, first, second, third = line:match("(%S+) (%S+) (%S+) (%S+) (%S+)")
   table.insert(known, { id = id, days = { { first, third }, { second, third }, { first, second } } })
end

function setup(thread) table.insert(threads, thread) end

function request()
   count = count + 1
   local booking = known[count % #known + 1]
   local days = booking.days[math.floor(count / #known) % 3 + 1]
   local body = string.format('{"check_in":"%s","check_out":"%s"}', days[1], days[2])
   return wrk.format(nil, wrk.path .. "/" .. booking.id, {
      ["Authorization"] = wrk.headers["Authorization"], ["Content-Type"] = "application/json",
      ["Host"] = wrk.headers["Host"], ["If-Match"] = "*",
   }, body)
end

if pause then
   function delay() return math.random(0, 2 * pause) end
end

function response(status)
   -- 412: another connection was faster with the same booking.
   if status == 200 then changed = changed + 1 elseif status == 409 or status == 412 then refused = refused + 1 end
end

function done(summary, latency)
   local changed, refused = 0, 0
   for _, thread in ipairs(threads) do
      changed = changed + thread:get("changed")
      refused = refused + thread:get("refused")
   end
   local failed = summary.requests - changed - refused
   local broken = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
   print("report requests " .. changed)
   print("report refused " .. refused)
   print("report errors " .. failed + broken)
   print(string.format("report rate %.1f", changed / (summary.duration / 1e6)))
   print(string.format("report p50 %.3f", latency:percentile(50) / 1000))
   print(string.format("report p99 %.3f", latency:percentile(99) / 1000))
end
