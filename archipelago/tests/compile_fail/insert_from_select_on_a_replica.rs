use diesel::prelude::*;

archipelago::repos! { primary home; replica near }

diesel::table! {
    users (id) { id -> BigInt, name -> Text }
}

async fn page(repos: Repos) {
    let copy = users::table.select(users::name).insert_into(users::table).into_columns(users::name);
    let _: Vec<(i64, String)> = repos.replica().load(copy).await.unwrap();
}

fn main() {}
