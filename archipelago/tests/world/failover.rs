//! Reads fail over: a database that is down, silent or behind is passed over until it recovers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use archipelago::{
    Error, Freshness, NotServed, ReadResult, Reason, RepoSet, ServedBy, Settings, Timeouts,
};
use archipelago_lab::{World, eventually};
use diesel::prelude::*;

use super::setup::{DEADLINE, HOUR, Repos, create_users, users};

/// The repos of an instance in `near`.
async fn seen_from_near(world: &World) -> Repos {
    connected(create_users(world).await.with_max_lag(HOUR)).await
}

/// The same with these settings, once the monitor knows every role.
async fn connected(settings: Settings) -> Repos {
    let repos = Repos::connect(&settings.in_region("near")).await.unwrap();
    eventually("the monitor knows the roles", DEADLINE, async || {
        repos.members().all(|member| member.health().role.is_some())
    })
    .await;
    repos
}

async fn names(repos: &Repos) -> Result<ReadResult<Vec<String>>, Error> {
    repos.replica().load_served::<String>(users::table.select(users::name)).await
}

/// Which region serves a read, and why that one.
async fn by(repos: &Repos) -> (&'static str, Reason) {
    let ServedBy { region, reason, .. } = names(repos).await.unwrap().served_by;
    (region, reason)
}

async fn add(repos: &Repos, name: &str) -> archipelago::Position {
    let ada = diesel::insert_into(users::table).values((users::name.eq(name), users::age.eq(36)));
    repos.primary().execute(ada).await.unwrap().position
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_crashed_replica_is_passed_over_until_it_is_back(world: World) {
    let repos = seen_from_near(&world).await;
    eventually("the replica serves", DEADLINE, async || {
        by(&repos).await == ("near", Reason::Local)
    })
    .await;

    let near = world.server("near").unwrap();
    near.kill().await.unwrap();
    for _ in 0..100 {
        assert_eq!(by(&repos).await.1, Reason::Failover, "no read fails");
    }
    let health = || repos.members().nth(1).unwrap().health();
    eventually("the replica is known to be down", DEADLINE, async || health().up == Some(false))
        .await;
    let health = health();
    assert!(health.down_reason.is_some() && health.down_since.is_some(), "{health:?}");

    near.start().await.unwrap();
    eventually("the replica serves again", DEADLINE, async || {
        by(&repos).await == ("near", Reason::Local)
    })
    .await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_replica_that_hangs_does_not_hold_up_reads_for_long(world: World) {
    let patient = Timeouts::default().with_statement(Duration::from_mins(10)).unwrap();
    let repos =
        connected(create_users(&world).await.with_max_lag(HOUR).with_timeouts(patient)).await;
    eventually("the replica serves", DEADLINE, async || {
        by(&repos).await == ("near", Reason::Local)
    })
    .await;
    let near = world.server("near").unwrap();
    near.freeze().await.unwrap();
    let served = tokio::time::timeout(DEADLINE, by(&repos))
        .await
        .expect("no read waits as long as the statement timeout");
    assert_eq!(served.1, Reason::Failover);
    assert_eq!(by(&repos).await.1, Reason::Failover);
    near.thaw().await.unwrap();
    eventually("the replica serves again", DEADLINE, async || {
        by(&repos).await == ("near", Reason::Local)
    })
    .await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_snapshot_fails_over_before_it_has_a_connection(world: World) {
    let repos = seen_from_near(&world).await;
    world.server("near").unwrap().kill().await.unwrap();
    let count = repos
        .replica()
        .snapshot(async |snapshot| snapshot.get_result::<i64>(users::table.count()).await);
    assert_eq!(count.await.unwrap(), 0);
    let raw = repos.replica().load_unchecked::<i64>(users::table.count());
    assert_eq!(raw.await.unwrap(), [0]);
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_snapshot_fails_over_from_an_open_connection(world: World) {
    let settings = create_users(&world).await.with_max_lag(HOUR);
    // Two sets: within one, the first read to fail would warn the other.
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

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_primary_that_is_back_serves_the_read_after_its_write(world: World) {
    let repos = seen_from_near(&world).await;
    for replica in world.replicas() {
        replica.pause_replay().await.unwrap();
    }
    world.primary().kill().await.unwrap();
    eventually("the primary is known to be down", DEADLINE, async || {
        repos.leader().health().up == Some(false)
    })
    .await;
    world.primary().start().await.unwrap();

    let written = eventually("the primary takes a write", DEADLINE, async || {
        let ada =
            diesel::insert_into(users::table).values((users::name.eq("Ada"), users::age.eq(36)));
        repos.primary().execute(ada).await
    });
    let position = written.await.position;
    for read in [repos.primary().reads(), repos.replica().fresh(Freshness::AtLeast(position))] {
        let served = read.load_served::<String>(users::table.select(users::name)).await.unwrap();
        assert_eq!((served.value, served.served_by.region), (vec!["Ada".to_owned()], "home"));
    }
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_read_after_a_write_goes_to_a_server_that_has_it(world: World) {
    let repos = seen_from_near(&world).await;
    let near = world.server("near").unwrap();
    near.pause_replay().await.unwrap();
    let written = add(&repos, "Ada").await;
    let fresh = repos.replica().fresh(Freshness::AtLeast(written));
    let ReadResult { value, served_by, position, .. } =
        fresh.load_served::<String>(users::table.select(users::name)).await.unwrap();
    assert_eq!(
        (value, served_by.region, served_by.reason),
        (vec!["Ada".to_owned()], "home", Reason::Fresher)
    );
    assert!(position >= written, "the position covers what was shown");
    assert_eq!(
        names(&repos).await.unwrap().value,
        [""; 0],
        "other visitors may read an older state"
    );

    near.resume_replay().await.unwrap();
    let fresh =
        async || fresh.load_served::<String>(users::table.select(users::name)).await.unwrap();
    eventually("the replica has it", DEADLINE, async || fresh().await.served_by.region == "near")
        .await;
    assert_eq!(fresh().await.value, ["Ada"]);
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_replica_too_far_behind_is_passed_over(world: World) {
    let settings = create_users(&world).await.with_max_lag(Duration::from_secs(3));
    let repos = connected(settings).await;
    eventually("the replica is known to be fresh", DEADLINE, async || {
        by(&repos).await == ("near", Reason::Local)
    })
    .await;
    let (near, far) = (world.server("near").unwrap(), world.server("far").unwrap());
    near.pause_replay().await.unwrap();
    add(&repos, "Ada").await;
    eventually("another replica serves in place of the one behind", DEADLINE, async || {
        let lag = repos.members().nth(1).unwrap().health().lag;
        by(&repos).await == ("far", Reason::Failover)
            && lag.is_some_and(|lag| lag > Duration::from_secs(3))
    })
    .await;

    far.stop().await.unwrap();
    world.primary().stop().await.unwrap();
    let refused = names(&repos).await.unwrap_err();
    assert!(refused.is_passing() && refused.retry_after().is_some(), "{refused}");
    let stale = repos
        .replica()
        .or_stale()
        .load_served::<String>(users::table.select(users::name))
        .await
        .unwrap()
        .served_by;
    assert_eq!((stale.region, stale.reason), ("near", Reason::Local));
    assert!(stale.stale.unwrap() > Duration::from_secs(3), "{stale}");
    let any = repos
        .replica()
        .fresh(Freshness::Any)
        .load_served::<String>(users::table.select(users::name))
        .await
        .unwrap()
        .served_by;
    assert_eq!((any.region, any.stale), ("near", None), "`Any` does not ask how old it is");
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn an_idle_primary_does_not_make_replicas_look_late(world: World) {
    // This instance is far from the primary, so it commits no heartbeat.
    let max_lag = Duration::from_secs(10);
    let repos = connected(create_users(&world).await.with_max_lag(max_lag)).await;
    let near = || repos.members().nth(1).unwrap().health();
    eventually("the replica serves", DEADLINE, async || {
        by(&repos).await == ("near", Reason::Local)
    })
    .await;
    let begin = Instant::now();
    eventually("the reported lag is less than half of the idle time", DEADLINE, async || {
        let idle = begin.elapsed();
        idle > max_lag && near().lag.is_some_and(|lag| lag < idle / 2)
    })
    .await;

    // The last commit that it has replayed is too old, and it has not all that the primary has.
    world.server("near").unwrap().pause_replay().await.unwrap();
    add(&repos, "Ada").await;
    eventually("it is known to lack a commit", DEADLINE, async || near().lag_bytes > Some(0)).await;
    let served = by(&repos).await;
    assert_eq!(served, ("near", Reason::Local), "the monitor knows that it lacks only the newest");
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn positions_of_other_databases_and_of_the_future_are_safe(world: World) {
    let repos = seen_from_near(&world).await;
    let at_least = async |position: &str| {
        let fresh = repos.replica().fresh(Freshness::AtLeast(position.parse().unwrap()));
        fresh.load_served::<String>(users::table.select(users::name)).await.unwrap()
    };
    assert_eq!(at_least("v1-1-1-FF/0").await.served_by.region, "near");

    let now = add(&repos, "Ada").await.to_string();
    let (history, _lsn) = now.rsplit_once('-').unwrap();
    let wanted = format!("{history}-FF/0");
    let future = at_least(&wanted).await;
    assert_eq!(future.served_by.region, "home");
    assert!(future.position < wanted.parse().unwrap(), "the visitor gets a position that exists");
}

mod crowd {
    //! Regions whose primary takes few reads from other regions.

    use super::*;

    archipelago::repos! { primary home; replica near; max_spill 1; }

    fn is_spilled(error: &Error) -> bool {
        let Error::NotServed { tried } = error else { return false };
        let regions: Vec<_> = tried.iter().map(|tried| tried.region).collect();
        regions == ["near", "home"] && matches!(tried[1].reason, NotServed::Spilled)
    }

    diesel::define_sql_function! { fn pg_sleep(seconds: diesel::sql_types::Double) -> diesel::sql_types::Text; }

    #[archipelago_lab::test(primary = "home", replicas = ["near"], own_servers)]
    async fn a_lost_replica_does_not_overload_the_primary(world: World) {
        let url = |region: &str| world.server(region).unwrap().url();
        let settings = Settings::single_database::<Repos>(&url("home"))
            .unwrap()
            .with_url("near", &url("near"))
            .unwrap();
        let repos = Repos::connect(&settings.in_region("near")).await.unwrap();
        world.server("near").unwrap().kill().await.unwrap();
        eventually("the replica is known to be down", DEADLINE, async || {
            repos.members().nth(1).unwrap().health().up == Some(false)
        })
        .await;

        let slow = repos.replica().load_served::<String>(diesel::select(pg_sleep(600.0)));
        let mut slow = std::pin::pin!(slow);
        let crowd = eventually("the spill permit is taken", DEADLINE, async || {
            let read = repos.replica().get_result::<String>(diesel::select(pg_sleep(0.0)));
            read.await.err().filter(is_spilled)
        });
        let refused = tokio::select! {
            biased;
            _ = &mut slow => panic!("the slow read is answered"),
            refused = crowd => refused,
        };
        assert!(is_spilled(&refused), "{refused}");
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(1)));
    }

    /// Also of a read that asks for the primary by name, and whose caller has left.
    #[archipelago_lab::test(primary = "home", replicas = ["near"])]
    async fn a_permit_is_held_until_the_server_is_done(world: World) {
        let url = world.server("home").unwrap().url();
        let settings = Settings::single_database::<Repos>(&url).unwrap();
        let repos = Arc::new(Repos::connect(&settings.clone().in_region("near")).await.unwrap());
        let slow = |repos: Arc<Repos>| async move {
            let reads = repos.primary().reads();
            reads.get_result::<String>(diesel::select(pg_sleep(600.0))).await
        };
        let quick = async |repos: &Repos| {
            let reads = repos.primary().reads();
            reads.get_result::<String>(diesel::select(pg_sleep(0.0))).await
        };
        quick(&repos).await.unwrap();
        let at_home = Arc::new(Repos::connect(&settings.in_region("home")).await.unwrap());
        for (repos, is_counted) in [(repos, true), (at_home, false)] {
            let mut dropped = Box::pin(slow(repos.clone()));
            let taken = eventually("the slow read has begun", DEADLINE, async || {
                tokio::select! {
                    biased;
                    answer = &mut dropped => panic!("{answer:?}"),
                    answer = quick(&repos) => match answer {
                        Err(Error::NotServed { tried }) => {
                            let reason = &tried.last().unwrap().reason;
                            matches!(reason, NotServed::Spilled).then_some(true)
                        }
                        answer => Some(answer.is_err()),
                    }
                }
            });
            assert_eq!(taken.await, is_counted);
            drop(dropped);
            // The request to cancel comes later.
            assert_eq!(quick(&repos).await.is_err(), is_counted);
            eventually("the server is done", DEADLINE, async || quick(&repos).await.ok()).await;
        }
    }
}

/// A wrong URL: its server takes writes, and has been promoted more often than the primary.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_server_of_another_cluster_is_never_used(world: World) {
    let other = World::builder().primary("home").replicas(["near", "far"]).start().await.unwrap();
    create_users(&other).await;
    other.promote("near").await.unwrap();
    let settings = create_users(&world).await;
    let url = other.server("near").unwrap().url();
    let repos =
        Repos::connect(&settings.with_url("near", &url).unwrap().in_region("near")).await.unwrap();

    let position = add(&repos, "Ada").await;
    assert_eq!((repos.leader().info().code, position.timeline()), ("home", 1));
    let near = || repos.members().nth(1).unwrap().health();
    eventually("the server is known to be foreign", DEADLINE, async || near().up == Some(false))
        .await;
    assert!(near().down_reason.unwrap().to_string().contains("another database"), "{:?}", near());
    world.catch_up().await.unwrap();
    let fresh = repos.replica().fresh(Freshness::AtLeast(position));
    let ReadResult { value, served_by, .. } =
        fresh.load_served::<String>(users::table.select(users::name)).await.unwrap();
    assert_eq!((value, served_by.reason), (vec!["Ada".to_owned()], Reason::Failover));
    add(&repos, "Grace").await;
}
