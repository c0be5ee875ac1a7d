use diesel::prelude::*;

archipelago::repos! { primary home; replica near }

diesel::table! {
    users (id) { id -> BigInt, name -> Text }
}

async fn page(repos: Repos) {
    let upsert = diesel::insert_into(users::table).values(users::name.eq("Ada")).on_conflict(users::id).do_nothing();
    let _: Option<(i64, String)> = repos.replica().optional(upsert).await.unwrap();
}

fn main() {}
