use diesel_async::RunQueryDsl;

archipelago::repos! { primary home; replica near }

diesel::table! {
    users (id) { id -> BigInt, name -> Text }
}

async fn page(repos: Repos) {
    repos.replica().execute(diesel::delete(users::table)).await.unwrap();
}

fn main() {}
