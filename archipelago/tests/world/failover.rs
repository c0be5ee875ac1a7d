//! A database that is down, silent or behind costs no read: the next one serves, until it is back.

use std::time::{Duration, Instant};

use archipelago::{Error, Freshness, Reason, RepoSet, Served, ServedBy, Settings, Timeouts};
use archipelago_lab::World;
use diesel::dsl::sql_query;
use diesel::prelude::*;

use super::shared::{DEADLINE, HOUR, Repos, catch_up, database, eventually, new_world, users};

/// As an instance in `near` sees them.
async fn seen_from_near(world: &World) -> Repos {
    connected(database(world, "seen").await.with_max_lag(HOUR)).await
}

async fn connected(settings: Settings) -> Repos {
    let repos = Repos::connect(&settings.in_region("near")).await.unwrap();
    eventually("the monitor has looked", async || {
        repos.members().filter(|member| member.health().role.is_some()).count() == 2
    })
    .await;
    repos
}

async fn names(repos: &Repos) -> Result<Served<Vec<String>>, Error> {
    repos.replica().load_served::<String>(users::table.select(users::name)).await
}

async fn by(repos: &Repos) -> (&'static str, Reason) {
    let ServedBy { region, reason, .. } = names(repos).await.unwrap().by;
    (region, reason)
}

async fn add(repos: &Repos, name: &str) -> archipelago::Position {
    let ada = diesel::insert_into(users::table).values((users::name.eq(name), users::age.eq(36)));
    repos.primary().execute(ada).await.unwrap().position.unwrap()
}

#[tokio::test]
async fn a_replica_that_crashed_is_passed_over_until_it_is_back() {
    let world = new_world().await;
    let repos = seen_from_near(&world).await;
    eventually("it serves", async || by(&repos).await == ("near", Reason::Local)).await;

    let near = world.server("near").unwrap();
    near.kill().await.unwrap();
    for _ in 0..100 {
        assert_eq!(by(&repos).await.1, Reason::Failover, "no read fails");
    }
    let health = || repos.members().nth(1).unwrap().health();
    eventually("it is known to be down", async || health().up == Some(false)).await;
    let health = health();
    assert!(health.why_down.is_some() && health.down_since.is_some(), "{health:?}");

    near.start().await.unwrap();
    eventually("it serves again", async || by(&repos).await == ("near", Reason::Local)).await;
}

#[tokio::test]
async fn a_replica_that_hangs_holds_up_nobody_for_long() {
    let world = new_world().await;
    let patient = Timeouts { statement: Duration::from_mins(10), ..Timeouts::default() };
    let repos =
        connected(database(&world, "hanging").await.with_max_lag(HOUR).with_timeouts(patient))
            .await;
    eventually("it serves", async || by(&repos).await == ("near", Reason::Local)).await;
    let near = world.server("near").unwrap();
    near.freeze().await.unwrap();
    let served = tokio::time::timeout(DEADLINE, by(&repos))
        .await
        .expect("nobody waits as long as for a statement");
    assert_eq!(served.1, Reason::Failover);
    assert_eq!(by(&repos).await.1, Reason::Failover);
    near.thaw().await.unwrap();
    eventually("it serves again", async || by(&repos).await == ("near", Reason::Local)).await;
}

#[tokio::test]
async fn a_transaction_goes_to_the_next_one_too() {
    let world = new_world().await;
    let repos = seen_from_near(&world).await;
    world.server("near").unwrap().kill().await.unwrap();
    let count = repos
        .replica()
        .snapshot(async |snapshot| snapshot.get_result::<i64>(users::table.count()).await);
    assert_eq!(count.await.unwrap(), 0);
    let raw = repos.replica().load_unchecked::<i64>(users::table.count());
    assert_eq!(raw.await.unwrap(), [0]);
}

#[tokio::test]
async fn a_transaction_on_a_connection_that_is_open_goes_to_the_next_one_too() {
    let world = new_world().await;
    let settings = database(&world, "open").await.with_max_lag(HOUR);
    // Two, as the first to fail tells the others of its process.
    let (one, other) = (connected(settings.clone()).await, connected(settings).await);
    let count = async || {
        one.replica()
            .snapshot(async |snapshot| snapshot.get_result::<i64>(users::table.count()).await)
            .await
    };
    let raw = async || other.replica().load_unchecked::<i64>(users::table.count()).await;
    assert_eq!((count().await.unwrap(), raw().await.unwrap()), (0, vec![0]));
    world.server("near").unwrap().freeze().await.unwrap();
    let (count, raw) = tokio::join!(count(), raw());
    assert_eq!((count.unwrap(), raw.unwrap()), (0, vec![0]));
}

#[tokio::test]
async fn a_primary_that_takes_a_write_again_serves_the_read_behind_it() {
    let world = new_world().await;
    let repos = seen_from_near(&world).await;
    for replica in world.replicas() {
        replica.pause_replay().await.unwrap();
    }
    world.primary().kill().await.unwrap();
    eventually("it is known", async || repos.leader().health().up == Some(false)).await;
    world.primary().start().await.unwrap();

    let mut written = None;
    eventually("a write is taken", async || {
        let ada =
            diesel::insert_into(users::table).values((users::name.eq("Ada"), users::age.eq(36)));
        written = repos.primary().execute(ada).await.ok();
        written.is_some()
    })
    .await;
    let position = written.and_then(|written| written.position).unwrap();
    for read in [repos.primary().reads(), repos.replica().fresh(Freshness::AtLeast(position))] {
        let served = read.load_served::<String>(users::table.select(users::name)).await.unwrap();
        assert_eq!((served.value, served.by.region), (vec!["Ada".to_owned()], "home"));
    }
}

#[tokio::test]
async fn what_was_written_is_shown_by_whoever_has_it() {
    let world = new_world().await;
    let repos = seen_from_near(&world).await;
    let near = world.server("near").unwrap();
    near.pause_replay().await.unwrap();
    let written = add(&repos, "Ada").await;
    let fresh = repos.replica().fresh(Freshness::AtLeast(written));
    let Served { value, by, position } =
        fresh.load_served::<String>(users::table.select(users::name)).await.unwrap();
    assert_eq!((value, by.region, by.reason), (vec!["Ada".to_owned()], "home", Reason::Fresher));
    assert!(position >= written, "who has seen it carries it on");
    assert_eq!(
        names(&repos).await.unwrap().value,
        [""; 0],
        "who has not written it does not need it yet"
    );

    near.resume_replay().await.unwrap();
    let fresh =
        async || fresh.load_served::<String>(users::table.select(users::name)).await.unwrap();
    eventually("the replica has it", async || fresh().await.by.region == "near").await;
    assert_eq!(fresh().await.value, ["Ada"]);
}

#[tokio::test]
async fn a_replica_too_far_behind_is_passed_over() {
    let world = new_world().await;
    let settings = database(&world, "behind").await.with_max_lag(Duration::from_secs(3));
    let repos = connected(settings).await;
    eventually("it is found to be fresh", async || by(&repos).await == ("near", Reason::Local))
        .await;
    let (near, far) = (world.server("near").unwrap(), world.server("far").unwrap());
    near.pause_replay().await.unwrap();
    add(&repos, "Ada").await;
    eventually("another one serves, as it is behind", async || {
        let lag = repos.members().nth(1).unwrap().health().lag;
        by(&repos).await == ("far", Reason::Failover)
            && lag.is_some_and(|lag| lag > Duration::from_secs(3))
    })
    .await;

    far.stop().await.unwrap();
    world.primary().stop().await.unwrap();
    let nobody = names(&repos).await.unwrap_err();
    assert!(nobody.is_passing() && nobody.retry_after().is_some(), "{nobody}");
    let stale = repos
        .replica()
        .or_stale()
        .load_served::<String>(users::table.select(users::name))
        .await
        .unwrap()
        .by;
    assert_eq!((stale.region, stale.reason), ("near", Reason::Local));
    assert!(stale.stale.unwrap() > Duration::from_secs(3), "{stale}");
    let any = repos
        .replica()
        .fresh(Freshness::Any)
        .load_served::<String>(users::table.select(users::name))
        .await
        .unwrap()
        .by;
    assert_eq!((any.region, any.stale), ("near", None), "nobody asked how old it is");
}

#[tokio::test]
async fn an_idle_primary_does_not_make_replicas_look_late() {
    let world = new_world().await;
    let repos = seen_from_near(&world).await;
    let near = || repos.members().nth(1).unwrap().health();
    let begin = Instant::now();
    eventually("it has been idle for a while, and looks younger than that", async || {
        let idle = begin.elapsed();
        idle > Duration::from_secs(6) && near().lag.is_some_and(|lag| lag < idle / 2)
    })
    .await;
}

#[tokio::test]
async fn a_position_of_another_database_means_nothing_and_one_of_the_future_the_primary() {
    let world = new_world().await;
    let repos = seen_from_near(&world).await;
    let at_least = async |position: &str| {
        let fresh = repos.replica().fresh(Freshness::AtLeast(position.parse().unwrap()));
        fresh.load_served::<String>(users::table.select(users::name)).await.unwrap()
    };
    assert_eq!(at_least("1-1-FF/0").await.by.region, "near");

    let now = add(&repos, "Ada").await.to_string();
    let system = now.split('-').next().unwrap();
    let future = at_least(&format!("{system}-1-FF/0")).await;
    assert_eq!(future.by.region, "home");
    assert!(
        future.position.to_string() < format!("{system}-1-FF/0"),
        "what the visitor carries on is true again"
    );
}

#[tokio::test]
async fn a_database_without_the_newest_migration_serves_no_reads() {
    let world = new_world().await;
    let settings = database(&world, "schema").await;
    let plain = Repos::connect(&settings).await.unwrap();
    let run = async |sql: &str| plain.primary().execute(sql_query(sql)).await.unwrap();
    run("CREATE TABLE __diesel_schema_migrations (version text PRIMARY KEY)").await;
    run("INSERT INTO __diesel_schema_migrations VALUES ('20260101000000')").await;
    super::shared::catch_up(&world).await;
    let near = world.server("near").unwrap();
    near.pause_replay().await.unwrap();
    run("INSERT INTO __diesel_schema_migrations VALUES ('20260202000000')").await;

    let repos = Repos::connect(&settings.requiring_migration("20260202000000").in_region("near"))
        .await
        .unwrap();
    assert_eq!(by(&repos).await.1, Reason::Failover);
    let why = repos.members().nth(1).unwrap().health().why_down.unwrap();
    assert!(
        why.contains(
            "its newest migration is 20260101000000, and this program needs 20260202000000"
        ),
        "{why}"
    );
    near.resume_replay().await.unwrap();
    eventually("it serves when it has it", async || by(&repos).await == ("near", Reason::Local))
        .await;
}

mod crowd {
    //! A set whose primary takes few reads from elsewhere.

    use super::*;

    archipelago::repos! { primary home; replica near; max_spill 1; }

    diesel::define_sql_function! { fn pg_sleep(seconds: diesel::sql_types::Double) -> diesel::sql_types::Text; }

    #[tokio::test]
    async fn a_lost_replica_does_not_take_the_primary_along() {
        let world = World::builder().primary("home").replicas(["near"]).start().await.unwrap();
        let url = |region: &str| world.server(region).unwrap().url();
        let settings = Settings::single_database::<Repos>(&url("home"))
            .unwrap()
            .with_url("near", &url("near"))
            .unwrap();
        let repos = Repos::connect(&settings.in_region("near")).await.unwrap();
        world.server("near").unwrap().kill().await.unwrap();
        eventually("it is known", async || {
            repos.members().nth(1).unwrap().health().up == Some(false)
        })
        .await;

        let slow = repos.replica().load_served::<String>(diesel::select(pg_sleep(600.0)));
        let mut slow = std::pin::pin!(slow);
        let crowd = async {
            let mut last = None;
            eventually("the place is taken", async || {
                last =
                    repos.replica().get_result::<String>(diesel::select(pg_sleep(0.0))).await.err();
                matches!(last, Some(Error::Spilled { .. }))
            })
            .await;
            last.unwrap()
        };
        let refused = tokio::select! {
            biased;
            _ = &mut slow => panic!("it sleeps"),
            refused = crowd => refused,
        };
        assert!(matches!(refused, Error::Spilled { region: "near" }), "{refused}");
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(1)));
    }
}

#[tokio::test]
async fn a_slow_read_is_sent_to_the_next_one_as_well_where_that_is_asked_for() {
    let world = new_world().await;
    let settings = database(&world, "hedged").await;
    let near = world.server("near").unwrap().url_of_from("hedged", "home").unwrap();
    let repos = connected(settings.with_url("near", &near).unwrap()).await;
    let read = async || {
        repos
            .replica()
            .hedged()
            .load_served::<String>(users::table.select(users::name))
            .await
            .unwrap()
            .by
    };
    for _ in 0..600 {
        read().await;
    }
    world.links().slow("home", "near", Duration::from_millis(700)).unwrap();
    // One of twenty may be.
    eventually("the other one is quicker", async || read().await.reason == Reason::Failover).await;
    world.links().heal("home", "near");
    eventually("the first one serves", async || read().await.reason == Reason::Local).await;
}

/// A wrong URL: the server behind it writes, and has been promoted more often than the primary.
#[tokio::test]
async fn a_database_that_is_no_replica_of_the_primary_serves_nobody() {
    let (world, other) = (new_world().await, new_world().await);
    database(&other, "foreign").await;
    other.promote("near").await.unwrap();
    let settings = database(&world, "foreign").await;
    let url = other.server("near").unwrap().url_of("foreign");
    let repos =
        Repos::connect(&settings.with_url("near", &url).unwrap().in_region("near")).await.unwrap();

    let position = add(&repos, "Ada").await;
    assert_eq!((repos.leader().info().code, position.timeline()), ("home", 1));
    let near = || repos.members().nth(1).unwrap().health();
    eventually("it is known to be foreign", async || near().up == Some(false)).await;
    assert!(near().why_down.unwrap().contains("another database"), "{:?}", near());
    catch_up(&world).await;
    let fresh = repos.replica().fresh(Freshness::AtLeast(position));
    let Served { value, by, .. } =
        fresh.load_served::<String>(users::table.select(users::name)).await.unwrap();
    assert_eq!((value, by.reason), (vec!["Ada".to_owned()], Reason::Failover));
    add(&repos, "Grace").await;
}
