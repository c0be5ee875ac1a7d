//! The tables, as the migrations leave them; a test compares the two.

diesel::table! {
    /// The users.
    users (id) {
        /// Given by the database.
        id -> BigInt,
        /// 1 to 100 characters.
        name -> Text,
        /// In years, 0 to 150.
        age -> Integer,
        /// Of the form that created the user, if it had one.
        idempotency_key -> Nullable<Uuid>,
    }
}
