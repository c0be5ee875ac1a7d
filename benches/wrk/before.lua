-- A full page of the list before a user at random. The argument is the number of users.
require "answers"
local requests = require "requests"
local head, tail, last

function init(args)
  head, tail = requests.split("/users?before={id}")
  last = tonumber(args[1])
end

function request()
  return head .. math.random(52, last) .. tail
end
