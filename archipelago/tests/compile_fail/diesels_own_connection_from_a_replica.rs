use diesel_async::RunQueryDsl;

archipelago::repos! { primary home; replica near }

diesel::table! {
    users (id) { id -> BigInt, name -> Text }
}

async fn page(repos: Repos) {
    diesel::delete(users::table).execute(&mut repos.replica()).await.unwrap();
}

fn main() {}
