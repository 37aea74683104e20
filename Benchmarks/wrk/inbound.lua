-- Sends webhooks as a vendor does, each about one of the hotels, none twice.

local hotels = tonumber(os.getenv("HOTELS"))
-- Milliseconds for which each connection waits between an answer and its next request, on average; not part of the latencies.
local pause = tonumber(os.getenv("PAUSE") or "")
local run = os.getenv("RUN")
local count = 0
local threads = {}

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

-- Global, so that `done` can ask each thread for it.
taken = 0

function setup(thread) table.insert(threads, thread) end

function request()
   count = count + 1
   return wrk.format(nil, nil, nil, string.format(
      '{"version":"1.0","event":"reservation/dates_changed","timestamp":%d,"propertyID":%d,"id":"%s-%d"}',
      os.time(), count % hotels + 1, run, count))
end

if pause then
   function delay() return math.random(0, 2 * pause) end
end

function response(status)
   if status == 202 then taken = taken + 1 end
end

function done(summary, latency)
   local taken = 0
   for _, thread in ipairs(threads) do taken = taken + thread:get("taken") end
   local broken = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
   print("report requests " .. taken)
   print("report errors " .. summary.requests - taken + broken)
   print(string.format("report rate %.1f", taken / (summary.duration / 1e6)))
   print(string.format("report p50 %.3f", latency:percentile(50) / 1000))
   print(string.format("report p99 %.3f", latency:percentile(99) / 1000))
end
