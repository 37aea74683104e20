-- The same as distinct.lua at a low, steady rate: each connection pauses for 8 to 24 ms between an answer and its next
-- request. The pause is not part of the latencies.

dofile(debug.getinfo(1).source:match("^@(.*/)") .. "distinct.lua")

function delay() return math.random(8, 24) end
