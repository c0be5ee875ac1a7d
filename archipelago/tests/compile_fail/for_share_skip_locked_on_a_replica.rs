use diesel::prelude::*;

archipelago::repos! { primary home; replica near }

diesel::table! {
    users (id) { id -> BigInt, name -> Text }
}

async fn page(repos: Repos) {
    let _: (i64, String) = repos.replica().get_result(users::table.find(1).for_share().skip_locked()).await.unwrap();
}

fn main() {}
