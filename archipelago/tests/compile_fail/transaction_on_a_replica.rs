archipelago::repos! { primary home; replica near }

diesel::table! {
    users (id) { id -> BigInt, name -> Text }
}

async fn page(repos: Repos) {
    repos.replica().transaction(async |_| Ok::<_, archipelago::Error>(())).await.unwrap();
}

fn main() {}
