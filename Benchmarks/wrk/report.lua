-- Ends a run with lines that the script which started it can read.

function done(summary, latency)
   local errors = summary.errors
   print("report requests " .. summary.requests)
   print("report errors " .. errors.connect + errors.read + errors.write + errors.timeout + errors.status)
   print(string.format("report rate %.1f", summary.requests / (summary.duration / 1e6)))
   print(string.format("report p50 %.3f", latency:percentile(50) / 1000))
   print(string.format("report p99 %.3f", latency:percentile(99) / 1000))
end
