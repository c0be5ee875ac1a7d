-- A form that creates a user.
require "answers"
local requests = require "requests"

function init()
  requests.make(0)
end

function request()
  return requests.create
end
