//! What each test begins with: mock regions, a table of users, and settings that lead to both.

use std::time::Duration;

use archipelago::{Settings, Timeouts};
use archipelago_lab::World;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};

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

/// A superuser's connection to the database of the test, at a region's server.
pub async fn admin(world: &World, region: &str) -> AsyncPgConnection {
    let server = world.server(region).unwrap();
    let (url, app_url) = (server.admin_url(), server.url());
    let (address, _) = url.rsplit_once('/').unwrap();
    let (_, database) = app_url.rsplit_once('/').unwrap();
    archipelago::connect(&format!("{address}/{database}").parse().unwrap()).await.unwrap()
}

/// Runs a statement as the superuser at the primary, and waits until each replica has replayed it.
pub async fn as_admin(world: &World, sql: &str) {
    admin(world, world.primary().region()).await.batch_execute(sql).await.unwrap();
    world.catch_up().await.unwrap();
}

/// Changes a setting of the test's database, for sessions that begin later: `SET …` or `RESET …`,
/// with doubled quotes.
pub async fn alter_database(world: &World, change: &str) {
    let alter = format!(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {change}', current_database()); END $$"
    );
    as_admin(world, &alter).await;
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
