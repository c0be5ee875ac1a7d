//! The mock regions, the table and the servers that these tests stand on.

use std::time::Duration;

use archipelago::{Settings, Timeouts};
use archipelago_lab::World;
use tokio::sync::OnceCell;

archipelago::repos! { primary home; replica near; replica far }

diesel::table! {
    users (id) { id -> BigInt, name -> Text, age -> Integer }
}

/// Long enough for any machine; a test that waits so long has failed.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How far a replica may be behind where a test is about something else: further than it ever is.
pub const HOUR: Duration = Duration::from_hours(1);

/// Servers that no test may break. Each test has a database of its own.
pub async fn shared_world() -> &'static World {
    static WORLD: OnceCell<World> = OnceCell::const_new();
    WORLD.get_or_init(new_world).await
}

/// Servers of a test's own.
pub async fn new_world() -> World {
    World::builder().primary("home").replicas(["near", "far"]).start().await.unwrap()
}

/// A new database with the table of users, on every server.
pub async fn database(world: &World, name: &str) -> Settings {
    world.create_database(name).await.unwrap();
    let settings = settings(world, name);
    let repos = Repos::connect(&settings).await.unwrap();
    repos
        .primary()
        .execute(diesel::sql_query(
            "CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, age integer NOT NULL)",
        ))
        .await
        .unwrap();
    repos.shutdown().await;
    catch_up(world).await;
    settings
}

/// Waits until every replica shows what the primary has.
pub async fn catch_up(world: &World) {
    let position = world.primary().position().await.unwrap();
    for replica in world.replicas() {
        replica.wait_until_replayed(position, DEADLINE).await.unwrap();
    }
}

/// The regions at their servers.
pub fn settings(world: &World, database: &str) -> Settings {
    let url = |region| world.server(region).unwrap().url_of(database);
    let settings = Settings::single_database::<Repos>(&url("home")).unwrap();
    settings
        .with_url("near", &url("near"))
        .and_then(|settings| settings.with_url("far", &url("far")))
        .unwrap()
        .with_timeouts(Timeouts { shutdown: DEADLINE, ..Timeouts::default() })
}

/// Waits until `happens` holds, and fails the test when it never does.
pub async fn eventually(what: &str, mut happens: impl AsyncFnMut() -> bool) {
    let waiting = async {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !happens().await {
            looks.tick().await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting)
        .await
        .unwrap_or_else(|_| panic!("never happened: {what}"));
}
