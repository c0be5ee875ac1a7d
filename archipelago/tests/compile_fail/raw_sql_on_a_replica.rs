archipelago::repos! { primary home; replica near }

diesel::table! {
    users (id) { id -> BigInt, name -> Text }
}

#[derive(diesel::QueryableByName)]
struct User {
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
}

async fn page(repos: Repos) {
    let _: Vec<User> = repos.replica().load(diesel::sql_query("DELETE FROM users RETURNING name")).await.unwrap();
}

fn main() {}
