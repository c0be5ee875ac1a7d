//! The tables of schema.sql.

diesel::table! {
    accounts (id) { id -> BigInt, owner -> Text, cents -> Integer }
}

diesel::table! {
    transfers (id) { id -> BigInt, payer -> BigInt, payee -> BigInt, cents -> Integer }
}
