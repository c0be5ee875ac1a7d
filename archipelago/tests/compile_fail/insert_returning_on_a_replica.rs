use diesel::prelude::*;

archipelago::repos! { primary home; replica near }

diesel::table! {
    users (id) { id -> BigInt, name -> Text }
}

async fn page(repos: Repos) {
    let insert = diesel::insert_into(users::table).values(users::name.eq("Ada")).returning(users::id);
    let _: i64 = repos.replica().get_result(insert).await.unwrap();
}

fn main() {}
