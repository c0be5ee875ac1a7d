//! The tables of schema.sql.

diesel::table! {
    users (id) { id -> BigInt, email -> Text, name -> Text }
}

diesel::table! {
    posts (id) { id -> BigInt, user_id -> BigInt, title -> Text }
}

diesel::table! {
    comments (id) { id -> BigInt, post_id -> BigInt, user_id -> BigInt, text -> Text }
}

diesel::joinable!(posts -> users (user_id));
diesel::joinable!(comments -> posts (post_id));
diesel::joinable!(comments -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(users, posts, comments);
// For posts with their author and a count of their comments.
diesel::allow_columns_to_appear_in_same_group_by_clause!(posts::id, posts::title, users::name);
