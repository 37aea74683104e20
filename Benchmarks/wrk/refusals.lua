-- The same as tokens.lua, to see what is refused: also says how many answers were 200, how many 429, how many others.

dofile(debug.getinfo(1).source:match("^@(.*/)") .. "tokens.lua")

local threads = {}
local report = done

-- Global, so that `done` can ask the thread for them.
ok, limited, others = 0, 0, 0

function setup(thread) table.insert(threads, thread) end

function response(status)
   if status == 200 then ok = ok + 1 elseif status == 429 then limited = limited + 1 else others = others + 1 end
end

function done(...)
   report(...)
   for _, name in ipairs { "ok", "limited", "others" } do print("report " .. name .. " " .. threads[1]:get(name)) end
end
