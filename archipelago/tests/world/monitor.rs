//! The monitor's connections: a server that refuses a new one is as well as before, and none is kept
//! while the monitor rests.

use std::time::{Duration, Instant};

use archipelago::{RepoSet, Timeouts};
use archipelago_lab::{World, eventually};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use super::setup::{DEADLINE, HOUR, Repos, admin, create_users, users};

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// How many connections monitors have to the database of the test.
async fn watching(admin: &mut AsyncPgConnection) -> i64 {
    let sql = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database()
                   AND application_name = 'archipelago monitor'";
    diesel::sql_query(sql).get_result::<Count>(admin).await.unwrap().n
}

async fn add(repos: &Repos, name: &str) {
    let user = diesel::insert_into(users::table).values((users::name.eq(name), users::age.eq(36)));
    repos.primary().execute(user).await.unwrap();
}

/// Other programs have taken the last connections of every server, and the monitor's have ended.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_refused_reopening_takes_no_region_away(world: World) {
    let settings = create_users(&world).await.in_region("near").with_max_lag(HOUR);
    let repos = Repos::connect(&settings).await.unwrap();
    let read = async || {
        let names = repos.replica().load_served::<String>(users::table.select(users::name));
        names.await.map(|read| read.served_by.region)
    };
    let near = || repos.members().nth(1).unwrap().health();
    eventually("the replica serves and is watched", DEADLINE, async || {
        read().await.is_ok_and(|region| region == "near") && near().lag.is_some()
    })
    .await;

    let (mut home, mut admin) = (admin(&world, "home").await, admin(&world, "near").await);
    let full = "DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 1', current_database()); END $$";
    home.batch_execute(full).await.unwrap();
    world.catch_up().await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'archipelago monitor'";
    admin.batch_execute(end).await.unwrap();
    eventually("its session has ended", DEADLINE, async || watching(&mut admin).await == 0).await;
    let ended = Instant::now();
    eventually("the replica has been asked several times since", DEADLINE, async || {
        assert_eq!(watching(&mut admin).await, 0, "a new connection is refused");
        // The lag of the last answer grows with the time.
        ended.elapsed() > Duration::from_secs(4)
            && near().up == Some(true)
            && read().await.is_ok_and(|region| region == "near")
            && near().lag.is_some_and(|lag| lag < Duration::from_secs(3))
    })
    .await;
    repos.shutdown().await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_rest_is_ended_by_a_request_that_finds_the_primary(world: World) {
    let rest = Duration::from_secs(1);
    let settings = create_users(&world).await.in_region("near").with_max_lag(HOUR);
    // A rest is at least as long as a transaction may be.
    let short = Timeouts::default().with_transaction(rest).unwrap();
    let settings = settings.with_monitor_rest(rest).with_timeouts(short);
    let repos = Repos::connect(&settings).await.unwrap();
    add(&repos, "Ada").await;
    world.catch_up().await.unwrap();
    let (mut home, mut far) = (admin(&world, "home").await, admin(&world, "far").await);
    eventually("the monitor rests", DEADLINE, async || {
        watching(&mut home).await + watching(&mut far).await == 0
    })
    .await;

    // The old primary is restarted, and takes writes.
    world.promote("far").await.unwrap();
    world.server("home").unwrap().kill().await.unwrap();
    world.server("home").unwrap().start().await.unwrap();
    let mut home = admin(&world, "home").await;
    add(&repos, "Grace").await;
    let count = async |admin: &mut AsyncPgConnection| {
        let count = diesel::sql_query("SELECT count(*) AS n FROM users");
        count.get_result::<Count>(admin).await.unwrap().n
    };
    assert_eq!((count(&mut home).await, count(&mut far).await), (1, 2));
    assert_eq!(repos.leader().info().code, "far");
    eventually("the monitor rests again", DEADLINE, async || {
        watching(&mut home).await + watching(&mut far).await == 0
    })
    .await;
    repos.shutdown().await;
}

/// The next connection takes the place of the last, and a refused one leaves it.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn the_monitor_has_one_connection_to_each_server(world: World) {
    let settings = create_users(&world).await.in_region("near").with_max_lag(HOUR);
    let timeouts = Timeouts::default().with_lifetime(Duration::from_millis(500)).unwrap();
    let repos = Repos::connect(&settings.with_timeouts(timeouts)).await.unwrap();
    let mut admin = admin(&world, "near").await;
    let begun = Instant::now();
    let mut counts = Vec::new();
    eventually("several connections have come and gone", DEADLINE, async || {
        counts.push(watching(&mut admin).await);
        begun.elapsed() > Duration::from_secs(4)
    })
    .await;
    let single = counts.iter().filter(|count| **count == 1).count();
    assert!(single * 2 > counts.len(), "{counts:?}");
    repos.shutdown().await;
}
