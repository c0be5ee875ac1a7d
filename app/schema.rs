//! The tables as the migrations leave them. tests/app/schema.rs compares this file with a migrated
//! database.

diesel::table! {
    /// The users.
    users (id) {
        /// Assigned by the database.
        id -> BigInt,
        /// 1 to 100 characters.
        name -> Text,
        /// In years, 0 to 150.
        age -> Integer,
        /// The key of the form that created the user, if it had one: unique.
        idempotency_key -> Nullable<Uuid>,
        /// When the user was created, in UTC.
        inserted_at -> Timestamp,
        /// When the user was last changed, in UTC.
        updated_at -> Timestamp,
    }
}
