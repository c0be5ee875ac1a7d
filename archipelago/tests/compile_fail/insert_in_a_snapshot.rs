use diesel::prelude::*;

archipelago::repos! { primary home; replica near }

diesel::table! {
    users (id) { id -> BigInt, name -> Text }
}

async fn page(repos: Repos) {
    let insert = diesel::insert_into(users::table).values(users::name.eq("Ada"));
    repos.replica().snapshot(async |snapshot| snapshot.load::<(i64, String)>(insert).await).await.unwrap();
}

fn main() {}
