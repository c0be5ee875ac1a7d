ALTER TABLE users DROP COLUMN inserted_at, DROP COLUMN updated_at;
