-- The requests of the scripts. They are formatted once, because formatting a request costs the client more than sending it.
local requests = {}
local users, head, tail

-- The text of a GET request before and after {id} in `path`.
function requests.split(path)
  return wrk.format("GET", path):match("^(.*){id}(.*)$")
end

-- Prepares the requests for users with the ids from 1 to `count`.
function requests.make(count)
  users = count
  head, tail = requests.split("/users/{id}")
  local form = { ["content-type"] = "application/x-www-form-urlencoded" }
  for name, value in pairs(wrk.headers) do form[name] = value end
  requests.create = wrk.format("POST", "/users", form, "user%5Bname%5D=Ada+Lovelace&user%5Bage%5D=36")
end

-- The page of one user at random.
function requests.user()
  return head .. math.random(users) .. tail
end

return requests
