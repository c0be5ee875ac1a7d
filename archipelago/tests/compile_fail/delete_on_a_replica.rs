archipelago::repos! { primary home; replica near }

diesel::table! {
    users (id) { id -> BigInt, name -> Text }
}

async fn page(repos: Repos) {
    let _: Vec<(i64, String)> = repos.replica_in("near").load(diesel::delete(users::table)).await.unwrap();
}

fn main() {}
