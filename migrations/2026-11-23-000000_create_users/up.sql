-- The bounds are also in app/users.rs, which checks them first.
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    age integer NOT NULL CHECK (age BETWEEN 0 AND 150)
);
