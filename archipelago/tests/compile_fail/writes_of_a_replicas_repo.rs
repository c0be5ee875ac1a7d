archipelago::repos! { primary home; replica near }

diesel::table! {
    users (id) { id -> BigInt, name -> Text }
}

async fn page(repos: Repos) {
    repos.repo_near().writes().execute(diesel::delete(users::table)).await.unwrap();
}

fn main() {}
