-- Every connection asks once, spread over a second or so, and then says nothing more.

local asked = 0

function delay()
   asked = asked + 1
   if asked <= tonumber(os.getenv("CONNECTIONS")) then return asked % 1000 end
   return 3600 * 1000
end
