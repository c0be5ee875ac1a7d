-- A full page of the list after a user at random. The argument is the number of users.
require "answers"
local requests = require "requests"
local head, tail, last

function init(args)
  head, tail = requests.split("/users?after={id}")
  last = tonumber(args[1]) - 51
end

function request()
  return head .. math.random(last) .. tail
end
