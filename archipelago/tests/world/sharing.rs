//! Reads that share connections: few connections, in order, and nobody waits long behind a slow one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use archipelago::{Error, Settings, Timeouts};
use diesel::IntoSql;
use diesel::sql_types::{Double, Integer};
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::task::JoinHandle;

use super::shared::{DEADLINE, Repos, database, eventually, shared_world};

// Reads that Diesel prepares once, which those with an `sql` fragment are not.
diesel::define_sql_function! { fn pg_backend_pid() -> Integer; }
diesel::define_sql_function! { fn pg_sleep(seconds: Double) -> Text; }

/// Enough for several connections on any machine's thread.
const PLENTY: u32 = 1000;

async fn repos(name: &str, settings: impl FnOnce(Settings) -> Settings) -> Arc<Repos> {
    let ours = database(shared_world().await, name).await.in_region("near");
    Arc::new(Repos::connect(&settings(ours)).await.unwrap())
}

async fn backend(repos: &Repos) -> i32 {
    repos.replica().get_result(diesel::select(pg_backend_pid())).await.unwrap()
}

async fn echo(repos: &Repos, number: i32) -> Result<i32, Error> {
    repos.replica().get_result(diesel::select(number.into_sql::<Integer>())).await
}

/// A read that takes the server so long. It goes on as a task, like another visitor's.
fn sleeping(repos: &Arc<Repos>, seconds: f64) -> JoinHandle<Result<String, Error>> {
    let repos = repos.clone();
    tokio::spawn(async move { repos.replica().get_result(diesel::select(pg_sleep(seconds))).await })
}

/// Waits until `count` reads sleep in the server, as another connection sees it.
async fn asleep(repos: &Repos, count: i32) {
    let query = "(SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep')";
    let sleepers = || diesel::select(diesel::dsl::sql::<Integer>(query));
    let counted = async || repos.replica().get_result::<i32>(sleepers()).await.unwrap() == count;
    eventually("they sleep", counted).await;
}

#[tokio::test]
async fn reads_at_the_same_time_share_connections() {
    let repos = repos("few", |settings| settings.with_pool_size(PLENTY)).await;
    backend(&repos).await;
    let backends: BTreeSet<i32> =
        join_all((0..500).map(|_| backend(&repos))).await.into_iter().collect();
    assert!(backends.len() < 50, "{} connections for 500 reads at a time", backends.len());
}

#[tokio::test]
async fn every_read_gets_its_own_answer() {
    let repos = repos("own_answer", |settings| settings).await;
    let answers = join_all((0..300).map(|number| echo(&repos, number))).await;
    assert_eq!(
        answers.into_iter().map(Result::unwrap).collect::<Vec<_>>(),
        (0..300).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_quick_read_behind_a_slow_one_is_answered_by_another_connection() {
    let repos = repos("behind", |settings| settings.with_pool_size(PLENTY)).await;
    let slow = sleeping(&repos, 5.0);
    asleep(&repos, 1).await;
    for number in 0..10 {
        assert_eq!(echo(&repos, number).await.unwrap(), number);
    }
    asleep(&repos, 1).await;
    slow.await.unwrap().unwrap();
}

/// It is sent behind the slow one, before anybody can know that that one is slow.
#[tokio::test]
async fn a_quick_read_that_stands_behind_a_slow_one_is_sent_again() {
    let repos = repos("again", |settings| settings.with_pool_size(PLENTY)).await;
    echo(&repos, 1).await.unwrap();
    sleeping(&repos, 0.0).await.unwrap().unwrap();
    let mut slow = Box::pin(repos.replica().get_result::<String>(diesel::select(pg_sleep(5.0))));
    let mut quick = Box::pin(echo(&repos, 2));
    assert!(
        (&mut slow).now_or_never().is_none() && (&mut quick).now_or_never().is_none(),
        "both are on their way"
    );
    tokio::select! {
        biased;
        _ = &mut slow => panic!("the quick one waited for the slow one"),
        answer = &mut quick => assert_eq!(answer.unwrap(), 2),
    }
}

#[tokio::test]
async fn a_query_that_fails_fails_alone() {
    let repos = repos("alone", |settings| settings).await;
    let nothing = diesel::select(1.into_sql::<Integer>() / 0.into_sql::<Integer>());
    let (one, none, three) =
        tokio::join!(echo(&repos, 1), repos.replica().get_result::<i32>(nothing), echo(&repos, 3));
    assert_eq!((one.unwrap(), three.unwrap()), (1, 3));
    assert!(none.unwrap_err().to_string().contains("division by zero"));
}

/// Visitors who have left still hold a place, as long as the server works for them.
#[tokio::test]
async fn more_callers_than_places_are_told_that_it_is_busy() {
    let timeouts = Timeouts { checkout: Duration::from_secs(1), ..Timeouts::default() };
    let repos =
        repos("places", |settings| settings.with_pool_size(1).with_timeouts(timeouts)).await;
    sleeping(&repos, 0.0).await.unwrap().unwrap();
    let mut slow: Vec<_> = (0..64)
        .map(|_| Box::pin(repos.replica().get_result::<String>(diesel::select(pg_sleep(5.0)))))
        .collect();
    assert!(slow.iter_mut().all(|slow| slow.now_or_never().is_none()));
    drop(slow);
    let error = echo(&repos, 1).await.unwrap_err();
    assert!(matches!(error, Error::Busy { region: "near", .. }), "{error}");
}

/// The visitor went away in the middle of a query: what is left of it is answered to nobody else, and holds up nobody for long.
#[tokio::test]
async fn a_read_that_was_dropped_leaves_its_connection_in_order() {
    let repos = repos("left", |settings| settings).await;
    let pool = repos.repo_near().pool();
    let before = backend(&repos).await;
    let dropped = repos.replica().get_result::<String>(diesel::select(pg_sleep(0.5)));
    assert!(tokio::time::timeout(Duration::from_millis(100), dropped).await.is_err());
    assert_eq!(echo(&repos, 7).await.unwrap(), 7);
    eventually("nobody is waited for", async || pool.state().idle == pool.state().connections)
        .await;
    assert_eq!(backend(&repos).await, before);
}

#[tokio::test]
async fn connections_that_nobody_uses_are_closed() {
    let timeouts = Timeouts { idle: Duration::from_millis(100), ..Timeouts::default() };
    let repos = repos("idle", |settings| settings.with_timeouts(timeouts)).await;
    assert_eq!(echo(&repos, 1).await.unwrap(), 1);
    eventually("none is open", async || repos.repo_near().pool().state().connections == 0).await;
    assert_eq!(echo(&repos, 2).await.unwrap(), 2);
}

#[tokio::test]
async fn a_connection_that_lived_long_enough_is_replaced_while_it_serves() {
    let timeouts = Timeouts { lifetime: Duration::from_millis(100), ..Timeouts::default() };
    let repos = repos("lifetime", |settings| settings.with_timeouts(timeouts)).await;
    let before = backend(&repos).await;
    eventually("another one serves", async || backend(&repos).await != before).await;
}

/// A thread may leave one runtime and enter another, which does not drive the connections of the first.
#[test]
fn a_thread_may_change_its_runtime() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (one, other) = (runtime(), runtime());
    let repos = one.block_on(repos("runtimes", |settings| settings));
    for (number, runtime) in [&one, &other, &one].into_iter().enumerate() {
        let number = i32::try_from(number).unwrap();
        assert_eq!(runtime.block_on(echo(&repos, number)).unwrap(), number);
    }
}

#[tokio::test]
async fn reads_can_have_connections_of_their_own() {
    let timeouts = Timeouts { checkout: DEADLINE, ..Timeouts::default() };
    let repos = repos("own", |settings| {
        settings.with_pool_size(PLENTY).with_timeouts(timeouts).without_sharing()
    })
    .await;
    let (one, two) = (sleeping(&repos, 2.0), sleeping(&repos, 2.0));
    asleep(&repos, 2).await;
    one.await.unwrap().unwrap();
    two.await.unwrap().unwrap();
}
