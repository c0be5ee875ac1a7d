use archipelago::Primary;

archipelago::repos! { primary home; replica near }

diesel::table! {
    users (id) { id -> BigInt, name -> Text }
}

async fn rename(primary: Primary<'_>) {
    primary.execute(diesel::delete(users::table)).await.unwrap();
}

async fn page(repos: Repos) {
    rename(repos.replica()).await;
}

fn main() {}
