CREATE TABLE accounts (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner text NOT NULL,
    cents integer NOT NULL
);
CREATE TABLE transfers (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payer bigint NOT NULL REFERENCES accounts,
    payee bigint NOT NULL REFERENCES accounts,
    cents integer NOT NULL
);
