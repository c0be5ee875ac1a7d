-- The list's first page.
require "answers"

wrk.path = "/users"
