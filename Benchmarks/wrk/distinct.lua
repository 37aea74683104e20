-- No request is like another: each asks for another room type, so no remembered verdict answers it. With the token in
-- TOKEN, where there is one.

dofile(debug.getinfo(1).source:match("^@(.*/)") .. "report.lua")

-- Runs begin in different seconds, none makes 100,000 requests in one, and room types go up to 2,147,483,647.
local number = os.time() % 20000 * 100000

function init()
   local token = os.getenv("TOKEN")
   if token then wrk.headers["Authorization"] = "Bearer " .. token end
end

function request()
   number = number + 1
   return wrk.format(nil, wrk.path .. "&room_type_id=" .. number)
end
