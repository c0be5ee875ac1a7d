-- The page of one user at random. The argument is the number of users.
require "answers"
local requests = require "requests"

function init(args)
  requests.make(tonumber(args[1]))
end

function request()
  return requests.user()
end
