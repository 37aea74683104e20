-- The same as distinct.lua, without the token.

dofile(debug.getinfo(1).source:match("^@(.*/)") .. "distinct.lua")

init = nil
