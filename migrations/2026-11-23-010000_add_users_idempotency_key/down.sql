ALTER TABLE users DROP COLUMN idempotency_key;
