-- Nineteen of twenty requests are for one user's page, and one creates a user. The argument is the number of users.
require "answers"
local requests = require "requests"

function init(args)
  requests.make(tonumber(args[1]))
end

function request()
  if math.random(20) == 1 then return requests.create end
  return requests.user()
end
