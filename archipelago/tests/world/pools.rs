//! Pools open lazily, reconnect, fail within their timeouts, and shut down without losing a query.

use std::time::{Duration, Instant};

use archipelago::{Error, RepoSet, Settings, Timeouts};
use archipelago_lab::{World, eventually};
use diesel::sql_types::Integer;
use tokio::net::TcpListener;

use super::setup::{DEADLINE, Repos, create_users, users};

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn only_pools_of_the_primary_and_this_region_open_at_start(world: World) {
    let repos = Repos::connect(&create_users(&world).await.in_region("near")).await.unwrap();
    let open = || -> Vec<_> {
        let open = repos.pools().filter(|pool| pool.state().connections > 0);
        open.map(|pool| (pool.info().code, pool.access().as_str())).collect()
    };
    assert_eq!(open(), [("home", "write"), ("near", "read")]);
    repos.replica_in("far").get_result::<i64>(diesel::QueryDsl::count(users::table)).await.unwrap();
    assert_eq!(open(), [("home", "write"), ("near", "read"), ("far", "read")]);
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_pool_reconnects_when_its_server_is_back(world: World) {
    let repos = Repos::connect(&create_users(&world).await.in_region("near")).await.unwrap();
    let one = || {
        repos
            .repo_near()
            .reads()
            .get_result::<i32>(diesel::select(diesel::dsl::sql::<Integer>("1")))
    };
    assert_eq!(one().await.unwrap(), 1);

    let near = world.server("near").unwrap();
    near.stop().await.unwrap();
    let down = one().await.unwrap_err();
    assert!(matches!(down, Error::Unreachable { region: "near", .. } | Error::Query(_)), "{down}");
    // Until the kernel refuses it, a connection that was being opened may show as silence.
    eventually("the refusal is told", DEADLINE, async || {
        one().await.unwrap_err().to_string().contains("Connection refused")
    })
    .await;

    near.start().await.unwrap();
    eventually("the same pool serves again", DEADLINE, async || one().await.is_ok()).await;
}

#[tokio::test]
async fn a_refused_connection_fails_every_caller_at_once() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let timeouts = Timeouts::default().with_checkout(DEADLINE).unwrap();
    let settings = Settings::single_database::<Repos>(&format!("postgres://app@{closed}/app"))
        .unwrap()
        .with_timeouts(timeouts);
    let repos = Repos::connect(&settings).await.unwrap();
    let start = Instant::now();
    for _ in 0..100 {
        let error = repos.repo_near().pool().ping().await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { region: "near", .. }), "{error}");
    }
    assert!(start.elapsed() < DEADLINE, "no caller waited for a timeout");
}

#[tokio::test]
async fn a_server_that_accepts_and_stays_silent_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let timeouts = Timeouts::default().with_checkout(Duration::from_millis(200)).unwrap();
    let url = format!("postgres://app@{}/app", silent.local_addr().unwrap());
    let settings = Settings::single_database::<Repos>(&url).unwrap().with_timeouts(timeouts);
    let repos = Repos::connect(&settings).await.unwrap();
    let error = repos.repo_near().pool().ping().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the database of region `near` cannot be reached: no answer within 200ms"
    );
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_busy_pool_says_that_it_is_busy(world: World) {
    let timeouts = Timeouts::default().with_checkout(Duration::from_secs(1)).unwrap();
    let settings = create_users(&world).await.with_pool_size(1).with_timeouts(timeouts);
    let repos = Repos::connect(&settings.in_region("near")).await.unwrap();
    let near = repos.replica_in("near");
    near.snapshot(async |_| {
        let error = near.snapshot(async |_| Ok(())).await.unwrap_err();
        assert!(matches!(error, Error::Busy { region: "near", .. }), "{error}");
        Ok(())
    })
    .await
    .unwrap();
    near.snapshot(async |_| Ok(())).await.unwrap();
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn the_server_ends_a_statement_that_takes_too_long(world: World) {
    let timeouts = Timeouts::default().with_statement(Duration::from_millis(100)).unwrap();
    let repos = Repos::connect(&create_users(&world).await.with_timeouts(timeouts)).await.unwrap();
    let slow = diesel::sql_query("SELECT 1 FROM pg_sleep(600)");
    let error = repos.primary().execute(slow).await.unwrap_err();
    assert_eq!(error.code(), Some("57014"), "{error}");
    assert!(error.is_passing() && !error.is_uncertain(), "the server undid it");
    repos.repo_home().pool().ping().await.unwrap();
}

/// A visitor leaves in the middle of a query: the next caller must not get its answer.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_dropped_query_closes_its_connection(world: World) {
    let repos = Repos::connect(&create_users(&world).await.with_pool_size(1)).await.unwrap();
    let ask = |sql| {
        repos
            .replica_in("near")
            .load_unchecked::<i32>(diesel::select(diesel::dsl::sql::<Integer>(sql)))
    };
    let backend = || ask("pg_backend_pid()");
    let before = backend().await.unwrap();
    let slow = ask("(SELECT 1 FROM pg_sleep(600))");
    assert!(tokio::time::timeout(Duration::from_millis(100), slow).await.is_err());
    assert_ne!(backend().await.unwrap(), before);
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_transaction_that_takes_too_long_is_given_up(world: World) {
    let timeouts = Timeouts::default().with_transaction(Duration::from_millis(200)).unwrap();
    let repos = Repos::connect(&create_users(&world).await.with_timeouts(timeouts)).await.unwrap();
    let stuck =
        repos.primary().transaction(async |_| std::future::pending::<Result<(), Error>>().await);
    let error = stuck.await.unwrap_err();
    assert!(error.to_string().contains("no answer within 200ms"), "{error}");
    assert!(error.is_passing() && !error.is_uncertain(), "COMMIT was not sent: {error}");
    repos.primary().execute(diesel::delete(users::table)).await.unwrap();
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_shutdown_finishes_queries_and_refuses_new_ones(world: World) {
    let repos = Repos::connect(&create_users(&world).await).await.unwrap();
    let admin =
        Repos::connect(&Settings::single_database::<Repos>(&world.primary().admin_url()).unwrap())
            .await
            .unwrap();
    let url = world.primary().url();
    let (_, database) = url.rsplit_once('/').unwrap();
    let count =
        format!("(SELECT count(*)::int FROM pg_stat_activity WHERE datname = '{database}')");
    let sessions = async || {
        admin
            .replica_in("home")
            .get_result::<i32>(diesel::select(diesel::dsl::sql::<Integer>(&count)))
            .await
            .unwrap()
    };
    eventually("a writer, a reader and the monitor are connected", DEADLINE, async || {
        sessions().await == 3
    })
    .await;
    let in_flight = repos.replica_in("home").snapshot(async |snapshot| {
        let one = || diesel::select(diesel::dsl::sql::<Integer>("1"));
        snapshot.get_result::<i32>(one()).await?;
        let is_closed =
            async || matches!(repos.repo_home().pool().ping().await, Err(Error::ShutDown { .. }));
        eventually("the pool is closed during this query", DEADLINE, is_closed).await;
        snapshot.get_result::<i32>(one()).await
    });
    let (answer, ()) = tokio::join!(in_flight, repos.shutdown());
    assert_eq!(answer.unwrap(), 1, "the query in flight was finished");
    let refused = repos.repo_home().pool().ping().await.unwrap_err();
    assert_eq!(refused.to_string(), "the pool of region `home` was shut down");
    eventually("the server has no session left", DEADLINE, async || sessions().await == 0).await;
}
