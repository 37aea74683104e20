-- The same as distinct.lua at a low, steady rate: each connection pauses for 4 to 12 ms between an answer and its next
-- request. The pause is not part of the latencies.

dofile(debug.getinfo(1).source:match("^@(.*/)") .. "distinct.lua")

function delay() return math.random(4, 12) end
