-- The key of a form: if the form arrives twice, it creates one user. Deleting the user deletes the key.
ALTER TABLE users ADD COLUMN idempotency_key uuid;
-- Partial: users without a key take no room in it.
CREATE UNIQUE INDEX users_idempotency_key ON users (idempotency_key) WHERE idempotency_key IS NOT NULL;
