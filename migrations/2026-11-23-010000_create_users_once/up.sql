-- A form that arrives twice creates one user: its key leads to the user that it has created. The key goes with its row.
ALTER TABLE users ADD COLUMN idempotency_key uuid;
-- Users who came without a key are not in it.
CREATE UNIQUE INDEX users_idempotency_key ON users (idempotency_key) WHERE idempotency_key IS NOT NULL;
