-- The first page of the list.
require "answers"

wrk.path = "/users"
