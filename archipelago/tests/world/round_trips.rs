//! How often a question crosses the ocean.

use archipelago::{Error, Freshness, Position, Replica, Settings};
use diesel::prelude::*;

use super::counter::{Counter, fewest};
use super::shared::{HOUR, Repos, catch_up, database, shared_world, users};

/// The settings of an instance in `region`, which sees the database there through a counter, with one connection of each kind.
async fn counted(region: &str, name: &str) -> (Counter, Settings) {
    let settings = database(shared_world().await, name).await.with_max_lag(HOUR);
    let (counter, url) = Counter::before(settings.url(region).unwrap().expose()).await;
    (counter, settings.with_url(region, &url).unwrap().in_region(region).with_pool_size(1))
}

fn ada()
-> impl diesel::query_builder::QueryFragment<diesel::pg::Pg> + diesel::query_builder::QueryId + Send
{
    diesel::insert_into(users::table).values((users::name.eq("Ada"), users::age.eq(36)))
}

async fn write(repos: &Repos) -> Position {
    repos.primary().execute(ada()).await.unwrap().position.unwrap()
}

/// Who has served it.
async fn read(replica: Replica<'_>) -> &'static str {
    replica.load_served::<String>(users::table.select(users::name)).await.unwrap().served_by.region
}

#[tokio::test]
async fn a_read_is_one_round_trip() {
    let (counter, settings) = counted("home", "trips_of_a_read").await;
    let first = fewest(async || {
        let repos = Repos::connect(&settings).await.unwrap();
        let trips = counter.of(read(repos.replica())).await;
        repos.shutdown().await;
        trips
    });
    assert_eq!(
        first.await,
        3,
        "the first of its kind is prepared, and so is the question for the position"
    );

    let repos = Repos::connect(&settings).await.unwrap();
    let one = async || read(repos.replica()).await;
    one().await;
    assert_eq!(fewest(async || counter.of(one()).await).await, 1);
    let many = async || tokio::join!(one(), one(), one());
    assert_eq!(fewest(async || counter.of(Box::pin(many())).await).await, 1, "they share it");
}

/// However fresh it must be: as many as a pool takes that asks nothing else.
#[tokio::test]
async fn a_read_at_a_replica_is_one_round_trip() {
    let (counter, settings) = counted("near", "trips_to_a_replica").await;
    let repos = Repos::connect(&settings).await.unwrap();
    // Through the counter only, and after what is asked the first time.
    let only = async |replica: Replica<'_>| {
        let mut served = "";
        let trips = counter.of(async { served = read(replica).await }).await;
        if served == "near" { trips } else { usize::MAX }
    };
    for _ in 0..2 {
        let seen = write(&repos).await;
        catch_up(shared_world().await).await;
        read(repos.replica().fresh(Freshness::AtLeast(seen))).await;
    }

    assert_eq!(
        fewest(async || only(repos.replica().fresh(Freshness::Any)).await).await,
        1,
        "whatever it shows"
    );
    assert_eq!(fewest(async || only(repos.replica()).await).await, 1, "at most so far behind");
    let seen = repos
        .replica()
        .load_served::<String>(users::table.select(users::name))
        .await
        .unwrap()
        .position;
    let known = fewest(async || only(repos.replica().fresh(Freshness::AtLeast(seen))).await);
    assert_eq!(known.await, 1, "what it has shown on that connection");
    let unknown = fewest(async || {
        let written = write(&repos).await;
        catch_up(shared_world().await).await;
        only(repos.replica().fresh(Freshness::AtLeast(written))).await
    });
    assert_eq!(unknown.await, 1, "what it has replayed since: the check and the read share it");
}

#[tokio::test]
async fn a_write_and_its_position_are_one_round_trip() {
    let (counter, settings) = counted("home", "trips_of_a_write").await;
    let repos = Repos::connect(&settings).await.unwrap();
    let mut last = write(&repos).await;
    let writing = fewest(async || {
        counter
            .of(async {
                let next = write(&repos).await;
                assert!(next > last);
                last = next;
            })
            .await
    });
    assert_eq!(writing.await, 1);
}

#[tokio::test]
async fn a_transaction_saves_the_round_trips_that_it_can() {
    use diesel_async::RunQueryDsl;

    let (counter, settings) = counted("home", "trips_of_a_transaction").await;
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
        assert!(committed.position.is_some());
    };
    two().await;
    assert_eq!(
        fewest(async || counter.of(two()).await).await,
        3,
        "BEGIN; both statements; COMMIT and the position"
    );
}
