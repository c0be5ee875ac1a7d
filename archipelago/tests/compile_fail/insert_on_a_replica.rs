use diesel::prelude::*;

archipelago::repos! { primary home; replica near }

diesel::table! {
    users (id) { id -> BigInt, name -> Text }
}

async fn page(repos: Repos) {
    let _: Vec<(i64, String)> =
        repos.replica().load(diesel::insert_into(users::table).values(users::name.eq("Ada"))).await.unwrap();
}

fn main() {}
