//! What each test begins with: mock regions, a table of users, and settings that lead to both.

use std::time::Duration;

use archipelago::{Settings, Timeouts};
use archipelago_lab::World;

archipelago::repos! { primary home; replica near; replica far }

diesel::table! {
    users (id) { id -> BigInt, name -> Text, age -> Integer }
}

/// Long enough for any machine: a test that waits so long has failed.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A limit on replication lag that no replica reaches, for tests of something else.
pub const HOUR: Duration = Duration::from_hours(1);

/// Creates the table of users on every server, and returns the settings that lead there.
pub async fn create_users(world: &World) -> Settings {
    let settings = settings(world);
    let repos = Repos::connect(&settings).await.unwrap();
    repos
        .primary()
        .execute(diesel::sql_query(
            "CREATE TABLE users (
                id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                name text NOT NULL,
                age integer NOT NULL
            )",
        ))
        .await
        .unwrap();
    repos.shutdown().await;
    world.catch_up().await.unwrap();
    settings
}

/// Each region at its own server.
pub fn settings(world: &World) -> Settings {
    let url = |region| world.server(region).unwrap().url();
    let settings = Settings::single_database::<Repos>(&url("home")).unwrap();
    settings
        .with_url("near", &url("near"))
        .and_then(|settings| settings.with_url("far", &url("far")))
        .unwrap()
        .with_timeouts(Timeouts::default().with_shutdown(DEADLINE).unwrap())
}
