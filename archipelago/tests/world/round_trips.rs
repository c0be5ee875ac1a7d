//! How many round trips a read, a write and a transaction take.

use archipelago::{Error, Freshness, Position, Replica, Settings};
use archipelago_lab::{World, eventually};
use diesel::prelude::*;

use super::counting_proxy::{CountingProxy, fewest};
use super::setup::{DEADLINE, HOUR, Repos, create_users, users};

/// Settings of an instance in `region` with a connection to read and one to write, and the proxy in
/// front of that region's server.
async fn counted(world: &World, region: &str) -> (CountingProxy, Settings) {
    let settings = create_users(world).await.with_max_lag(HOUR);
    let (proxy, url) = CountingProxy::start(settings.url(region).unwrap().expose()).await;
    (proxy, settings.with_url(region, &url).unwrap().in_region(region).with_pool_size(2))
}

fn ada()
-> impl diesel::query_builder::QueryFragment<diesel::pg::Pg> + diesel::query_builder::QueryId + Send
{
    diesel::insert_into(users::table).values((users::name.eq("Ada"), users::age.eq(36)))
}

async fn write(repos: &Repos) -> Position {
    repos.primary().execute(ada()).await.unwrap().position
}

/// The region that served the read.
async fn read(replica: Replica<'_>) -> &'static str {
    replica.load_served::<String>(users::table.select(users::name)).await.unwrap().served_by.region
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_read_is_one_round_trip(world: World) {
    let (proxy, settings) = counted(&world, "home").await;
    let first = fewest(async || {
        let repos = Repos::connect(&settings).await.unwrap();
        let trips = proxy.round_trips(read(repos.replica())).await;
        repos.shutdown().await;
        trips
    });
    assert_eq!(first.await, 3, "first the read and the query for the position are prepared");

    let repos = Repos::connect(&settings).await.unwrap();
    let one = async || read(repos.replica()).await;
    one().await;
    assert_eq!(fewest(async || proxy.round_trips(one()).await).await, 1);
    let many = async || tokio::join!(one(), one(), one());
    assert_eq!(
        fewest(async || proxy.round_trips(Box::pin(many())).await).await,
        1,
        "concurrent reads share a round trip"
    );
}

/// Whatever freshness it asks for.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_read_at_a_replica_is_one_round_trip(world: World) {
    let (proxy, settings) = counted(&world, "near").await;
    let repos = Repos::connect(&settings).await.unwrap();
    // Counts only what this replica serves.
    let only = async |replica: Replica<'_>| {
        let mut served = "";
        let trips = proxy.round_trips(async { served = read(replica).await }).await;
        if served == "near" { trips } else { usize::MAX }
    };
    for _ in 0..2 {
        let seen = write(&repos).await;
        world.catch_up().await.unwrap();
        read(repos.replica().fresh(Freshness::AtLeast(seen))).await;
    }

    assert_eq!(
        fewest(async || only(repos.replica().fresh(Freshness::Any)).await).await,
        1,
        "any state"
    );
    assert_eq!(fewest(async || only(repos.replica()).await).await, 1, "at most `max_lag` behind");
    let seen = eventually("the replica has nothing left to replay", DEADLINE, async || {
        let names = users::table.select(users::name);
        let seen = repos.replica().load_served::<String>(names).await.unwrap().position;
        repos.replica().has_replayed(seen).await.unwrap().then_some(seen)
    })
    .await;
    let known = fewest(async || only(repos.replica().fresh(Freshness::AtLeast(seen))).await);
    assert_eq!(known.await, 1, "at least a position that this connection has shown");
    let unknown = fewest(async || {
        let written = write(&repos).await;
        world.catch_up().await.unwrap();
        only(repos.replica().fresh(Freshness::AtLeast(written))).await
    });
    assert_eq!(unknown.await, 1, "at least a newer position: the check goes along with the read");
}

/// It is asked once, and then another database.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_replica_that_lacks_a_write_costs_one_round_trip(world: World) {
    let (proxy, settings) = counted(&world, "near").await;
    let repos = Repos::connect(&settings).await.unwrap();
    let one = async |seen| read(repos.replica().fresh(Freshness::AtLeast(seen))).await;
    eventually("the replica serves", DEADLINE, async || {
        world.catch_up().await.unwrap();
        one(write(&repos).await).await == "near"
    })
    .await;
    world.server("near").unwrap().pause_replay().await.unwrap();
    let costs = fewest(async || {
        let seen = write(&repos).await;
        proxy.round_trips(async { assert_ne!(one(seen).await, "near") }).await
    });
    assert_eq!(costs.await, 1);
}

/// Four begin the session, after the question for encryption, which is not counted: one names the role,
/// two prove the password, and one prepares the session and asks for the server's state. Three are
/// diesel-async's, which sets the time zone and the encoding by two prepared statements. Three are the
/// read's: it is prepared; it is sent, and the question for the position is prepared; that is sent.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_read_on_a_new_connection_is_ten_round_trips(world: World) {
    let (proxy, settings) = counted(&world, "near").await;
    let opening = fewest(async || {
        let repos = Repos::new(&settings).unwrap();
        let first = async { assert_eq!(read(repos.repo_near().reads()).await, "near") };
        let trips = proxy.round_trips(first).await;
        repos.shutdown().await;
        trips
    });
    assert_eq!(opening.await, 10);
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_write_and_its_position_are_one_round_trip(world: World) {
    let (proxy, settings) = counted(&world, "home").await;
    let repos = Repos::connect(&settings).await.unwrap();
    let mut last = write(&repos).await;
    let writing = fewest(async || {
        proxy
            .round_trips(async {
                let next = write(&repos).await;
                assert!(next > last);
                last = next;
            })
            .await
    });
    assert_eq!(writing.await, 1);
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_transaction_is_two_round_trips_more_than_its_statements(world: World) {
    use diesel_async::RunQueryDsl;

    let (proxy, settings) = counted(&world, "home").await;
    let repos = Repos::connect(&settings).await.unwrap();
    let two = async || {
        let two = repos.primary().transaction(async |connection| {
            let (mut one, mut other) = (&*connection, &*connection);
            let (one, other) =
                tokio::join!(biased; ada().execute(&mut one), ada().execute(&mut other));
            Ok::<_, Error>(one? + other?)
        });
        let committed = two.await.unwrap();
        assert_eq!(committed.value, 2);
        assert!(!committed.position.is_unknown());
    };
    two().await;
    assert_eq!(
        fewest(async || proxy.round_trips(two()).await).await,
        3,
        "BEGIN; both statements; COMMIT and the position"
    );

    let one_by_one = async || {
        let four = repos.primary().transaction(async |connection| {
            for _ in 0..4 {
                ada().execute(connection).await?;
            }
            Ok::<_, Error>(())
        });
        four.await.unwrap();
    };
    assert_eq!(
        fewest(async || proxy.round_trips(one_by_one()).await).await,
        6,
        "BEGIN; each of four statements; COMMIT and the position"
    );
}
