-- As Phoenix's `timestamps()` makes them: in UTC, without a time zone. A default that does not change while
-- the statement runs rewrites no row, and instances of the previous version insert as before.
ALTER TABLE users
    ADD COLUMN IF NOT EXISTS inserted_at timestamp(0) NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    ADD COLUMN IF NOT EXISTS updated_at timestamp(0) NOT NULL DEFAULT (now() AT TIME ZONE 'UTC');
