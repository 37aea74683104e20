-- Ends a run with lines that the script which started it can read.

-- Milliseconds for which each connection waits between an answer and its next request, on average; not part of the latencies.
local pause = tonumber(os.getenv("PAUSE") or "")

if pause then
   function delay() return math.random(0, 2 * pause) end
end

function done(summary, latency)
   local errors = summary.errors
   print("report requests " .. summary.requests)
   print("report errors " .. errors.connect + errors.read + errors.write + errors.timeout + errors.status)
   print(string.format("report rate %.1f", summary.requests / (summary.duration / 1e6)))
   print(string.format("report p50 %.3f", latency:percentile(50) / 1000))
   print(string.format("report p99 %.3f", latency:percentile(99) / 1000))
end
