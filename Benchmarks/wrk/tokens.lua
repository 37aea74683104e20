-- Many clients in turn: each request carries the next of the tokens in the file TOKENS.

dofile(debug.getinfo(1).source:match("^@(.*/)") .. "report.lua")

local requests = {}
local last = 0

function init()
   for token in io.lines(os.getenv("TOKENS")) do
      wrk.headers["Authorization"] = "Bearer " .. token
      requests[#requests + 1] = wrk.format()
   end
end

function request()
   last = last % #requests + 1
   return requests[last]
end
