//! Reads share connections: few of them, each answer to its reader, no long wait behind a slow one.

use std::collections::BTreeSet;
use std::time::Duration;

use archipelago::{Error, Settings, Timeouts};
use archipelago_lab::{World, eventually};
use diesel::IntoSql;
use diesel::sql_types::{Double, Integer};
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::runtime;
use tokio::task::{block_in_place, unconstrained};

use super::setup::{DEADLINE, Repos, create_users};

// Diesel prepares these once. Only such reads share a connection, not those with an `sql` fragment.
diesel::define_sql_function! { fn pg_backend_pid() -> Integer; }
diesel::define_sql_function! { fn pg_sleep(seconds: Double) -> Text; }

/// Large enough for several connections.
const PLENTY: u32 = 50;

async fn repos(world: &World, settings: impl FnOnce(Settings) -> Settings) -> Repos {
    let near = create_users(world).await.in_region("near");
    Repos::connect(&settings(near)).await.unwrap()
}

/// The process of the server that answers.
async fn backend(repos: &Repos) -> i32 {
    repos.replica().get_result(diesel::select(pg_backend_pid())).await.unwrap()
}

async fn echo(repos: &Repos, number: i32) -> Result<i32, Error> {
    repos.replica().get_result(diesel::select(number.into_sql::<Integer>())).await
}

/// A read that takes the server so long.
async fn sleep(repos: &Repos, seconds: f64) -> Result<String, Error> {
    repos.replica().get_result(diesel::select(pg_sleep(seconds))).await
}

/// Waits until `count` reads sleep in the server, as another connection sees it.
async fn asleep(repos: &Repos, count: i32) {
    let query = "(SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep')";
    let sleepers = || diesel::select(diesel::dsl::sql::<Integer>(query));
    let counted = async || repos.replica().get_result::<i32>(sleepers()).await.unwrap() == count;
    eventually("so many reads sleep", DEADLINE, counted).await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn concurrent_reads_share_connections(world: World) {
    let repos = repos(&world, |settings| settings.with_pool_size(PLENTY)).await;
    backend(&repos).await;
    let backends: BTreeSet<i32> =
        join_all((0..500).map(|_| backend(&repos))).await.into_iter().collect();
    assert!(backends.len() < 50, "{} connections for 500 reads at a time", backends.len());
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn every_read_gets_its_own_answer(world: World) {
    let repos = repos(&world, |settings| settings).await;
    let answers = join_all((0..300).map(|number| echo(&repos, number))).await;
    assert_eq!(
        answers.into_iter().map(Result::unwrap).collect::<Vec<_>>(),
        (0..300).collect::<Vec<_>>()
    );
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_slow_read_does_not_hold_up_those_after_it(world: World) {
    let repos = repos(&world, |settings| settings.with_pool_size(PLENTY)).await;
    let quick = async {
        asleep(&repos, 1).await;
        for number in 0..10 {
            assert_eq!(echo(&repos, number).await.unwrap(), number);
        }
        asleep(&repos, 1).await;
    };
    let (slow, ()) = tokio::join!(sleep(&repos, 5.0), quick);
    slow.unwrap();
}

/// It is sent on the slow read's connection, before that read is known to be slow.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_read_stuck_behind_a_slow_one_is_sent_again(world: World) {
    let repos = repos(&world, |settings| settings.with_pool_size(PLENTY)).await;
    echo(&repos, 1).await.unwrap();
    sleep(&repos, 0.0).await.unwrap();
    let mut slow = Box::pin(sleep(&repos, 5.0));
    let mut quick = Box::pin(echo(&repos, 2));
    assert!(
        (&mut slow).now_or_never().is_none() && (&mut quick).now_or_never().is_none(),
        "both are on their way"
    );
    tokio::select! {
        biased;
        _ = &mut slow => panic!("the quick read waited for the slow one"),
        answer = &mut quick => assert_eq!(answer.unwrap(), 2),
    }
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_query_that_fails_fails_alone(world: World) {
    let repos = repos(&world, |settings| settings).await;
    let nothing = diesel::select(1.into_sql::<Integer>() / 0.into_sql::<Integer>());
    let (one, none, three) =
        tokio::join!(echo(&repos, 1), repos.replica().get_result::<i32>(nothing), echo(&repos, 3));
    assert_eq!((one.unwrap(), three.unwrap()), (1, 3));
    assert_eq!(none.unwrap_err().code(), Some("22012"));
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_read_beyond_the_limit_fails_as_busy(world: World) {
    let timeouts = Timeouts::default().with_checkout(Duration::from_secs(1)).unwrap();
    let repos = repos(&world, |settings| settings.with_pool_size(1).with_timeouts(timeouts)).await;
    // Of this database only: a busy machine may take it for lost, and read elsewhere.
    let near = || repos.repo_near().reads();
    eventually("its connection is open", DEADLINE, async || {
        near().get_result::<String>(diesel::select(pg_sleep(0.0))).await.is_ok()
    })
    .await;
    let sleep = || near().get_result::<String>(diesel::select(pg_sleep(5.0)));
    // Unconstrained: each is sent now, whatever Tokio has left of its budget for it.
    let mut slow: Vec<_> = (0..64).map(|_| Box::pin(unconstrained(sleep()))).collect();
    for slow in &mut slow {
        assert!(slow.now_or_never().is_none());
    }
    let echo = near().get_result::<i32>(diesel::select(1.into_sql::<Integer>()));
    let error = echo.await.unwrap_err();
    assert!(matches!(error, Error::Busy { region: "near", .. }), "{error}");
}

/// A visitor leaves in the middle of a query: the answer is discarded, the connection used again.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_dropped_read_leaves_its_connection_usable(world: World) {
    let repos = repos(&world, |settings| settings).await;
    let pool = repos.repo_near().pool();
    let before = backend(&repos).await;
    let dropped = repos.replica().get_result::<String>(diesel::select(pg_sleep(0.5)));
    assert!(tokio::time::timeout(Duration::from_millis(100), dropped).await.is_err());
    assert_eq!(echo(&repos, 7).await.unwrap(), 7);
    eventually("every connection is idle", DEADLINE, async || {
        pool.state().idle == pool.state().connections
    })
    .await;
    assert_eq!(backend(&repos).await, before);
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn idle_connections_are_closed(world: World) {
    let timeouts = Timeouts::default().with_idle(Duration::from_millis(100)).unwrap();
    let repos = repos(&world, |settings| settings.with_timeouts(timeouts)).await;
    assert_eq!(echo(&repos, 1).await.unwrap(), 1);
    eventually("no connection is open", DEADLINE, async || {
        repos.repo_near().pool().state().connections == 0
    })
    .await;
    assert_eq!(echo(&repos, 2).await.unwrap(), 2);
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_connection_is_replaced_at_the_end_of_its_lifetime(world: World) {
    let timeouts = Timeouts::default().with_lifetime(Duration::from_millis(100)).unwrap();
    let repos = repos(&world, |settings| settings.with_timeouts(timeouts)).await;
    let before = backend(&repos).await;
    eventually("another connection serves", DEADLINE, async || backend(&repos).await != before)
        .await;
}

/// A runtime does not drive the connections of another one on the same thread.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_thread_may_change_its_runtime(world: World) {
    let runtime = || runtime::Builder::new_current_thread().enable_all().build().unwrap();
    block_in_place(|| {
        let (one, other) = (runtime(), runtime());
        let repos = one.block_on(repos(&world, |settings| settings));
        for (number, runtime) in [&one, &other, &one].into_iter().enumerate() {
            let number = i32::try_from(number).unwrap();
            assert_eq!(runtime.block_on(echo(&repos, number)).unwrap(), number);
        }
    });
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn without_sharing_each_read_has_its_own_connection(world: World) {
    let timeouts = Timeouts::default().with_checkout(DEADLINE).unwrap();
    let repos = repos(&world, |settings| {
        settings.with_pool_size(PLENTY).with_timeouts(timeouts).without_sharing()
    })
    .await;
    let (one, two, ()) = tokio::join!(sleep(&repos, 2.0), sleep(&repos, 2.0), asleep(&repos, 2));
    one.unwrap();
    two.unwrap();
}
