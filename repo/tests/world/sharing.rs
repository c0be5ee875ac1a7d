//! Reads that share connections: few connections, in order, and nobody waits long behind a slow one.

use std::collections::BTreeSet;
use std::time::Duration;

use archipelago::{Error, Settings, Timeouts};
use diesel::dsl::sql;
use diesel::sql_types::{BigInt, Integer};
use futures_util::FutureExt;
use futures_util::future::join_all;

use super::shared::{Repos, database, eventually, shared_world};

/// Slow beyond any doubt, and below the 10 s that a statement may take.
const SLOW: &str = "(SELECT 1 FROM pg_sleep(5))";

/// Enough for two connections on any machine's thread.
const PLENTY: u32 = 1000;

async fn repos(name: &str, settings: impl FnOnce(Settings) -> Settings) -> Repos {
    let ours = database(shared_world().await, name).await.in_region("near");
    Repos::connect(&settings(ours)).await.unwrap()
}

async fn ask(repos: &Repos, text: &str) -> Result<i32, Error> {
    repos.replica().get_result(diesel::select(sql::<Integer>(text))).await
}

#[tokio::test]
async fn reads_at_the_same_time_share_few_connections() {
    let repos = repos("few", |settings| settings).await;
    let backends = join_all((0..500).map(|_| ask(&repos, "pg_backend_pid()"))).await;
    let backends: BTreeSet<i32> = backends.into_iter().map(Result::unwrap).collect();
    let allowed = usize::try_from(repos.repo_near().pool().state().size).unwrap();
    assert!(backends.len() <= allowed, "{backends:?}");
}

#[tokio::test]
async fn every_read_gets_its_own_answer() {
    let repos = repos("own_answer", |settings| settings).await;
    let square = |n: i64| repos.replica().get_result::<i64>(diesel::select(sql::<BigInt>(&format!("{n}::bigint * {n}"))));
    let squares = join_all((0..300).map(square)).await;
    for (n, square) in (0..).zip(squares) {
        assert_eq!(square.unwrap(), n * n);
    }
}

#[tokio::test]
async fn a_quick_read_behind_a_slow_one_is_answered_by_another_connection() {
    let repos = repos("behind", |settings| settings.with_pool_size(PLENTY)).await;
    let mut slow = Box::pin(ask(&repos, SLOW));
    assert!((&mut slow).now_or_never().is_none(), "it is on its way, and in front of all others");
    for round in 0..10 {
        assert_eq!(ask(&repos, &round.to_string()).await.unwrap(), round);
    }
    assert!((&mut slow).now_or_never().is_none(), "the slow one still runs");
    assert_eq!(slow.await.unwrap(), 1);
}

#[tokio::test]
async fn a_query_that_fails_fails_alone() {
    let repos = repos("alone", |settings| settings).await;
    let (one, none, three) = tokio::join!(ask(&repos, "1"), ask(&repos, "2 / 0"), ask(&repos, "3"));
    assert_eq!((one.unwrap(), three.unwrap()), (1, 3));
    assert!(none.unwrap_err().to_string().contains("division by zero"));
}

#[tokio::test]
async fn more_callers_than_places_are_told_that_it_is_busy() {
    let timeouts = Timeouts { checkout: Duration::from_secs(1), ..Timeouts::default() };
    let repos = repos("places", |settings| settings.with_pool_size(1).with_timeouts(timeouts)).await;
    let mut slow: Vec<_> = (0..64).map(|_| Box::pin(ask(&repos, SLOW))).collect();
    for slow in &mut slow {
        assert!(slow.now_or_never().is_none());
    }
    let error = ask(&repos, "1").await.unwrap_err();
    assert!(matches!(error, Error::Busy { region: "near", .. }), "{error}");
}

/// The visitor went away in the middle of a query: what is left of it is answered to nobody else, and holds up nobody.
#[tokio::test]
async fn a_read_that_was_dropped_leaves_its_connection_in_order() {
    let repos = repos("left", |settings| settings).await;
    let pool = repos.repo_near().pool();
    let before = ask(&repos, "pg_backend_pid()").await.unwrap();
    let dropped = tokio::time::timeout(Duration::from_millis(100), ask(&repos, "(SELECT 1 FROM pg_sleep(0.5))")).await;
    assert!(dropped.is_err());
    assert_eq!(ask(&repos, "7").await.unwrap(), 7);
    eventually("nobody is waited for", async || pool.state().idle == pool.state().connections).await;
    assert_eq!(ask(&repos, "pg_backend_pid()").await.unwrap(), before);
}

#[tokio::test]
async fn connections_that_nobody_uses_are_closed() {
    let timeouts = Timeouts { idle: Duration::from_millis(100), ..Timeouts::default() };
    let repos = repos("idle", |settings| settings.with_timeouts(timeouts)).await;
    assert_eq!(ask(&repos, "1").await.unwrap(), 1);
    eventually("none is open", async || repos.repo_near().pool().state().connections == 0).await;
    assert_eq!(ask(&repos, "2").await.unwrap(), 2);
}

#[tokio::test]
async fn a_connection_that_lived_long_enough_is_replaced_while_it_serves() {
    let timeouts = Timeouts { lifetime: Duration::from_millis(100), ..Timeouts::default() };
    let repos = repos("lifetime", |settings| settings.with_timeouts(timeouts)).await;
    let before = ask(&repos, "pg_backend_pid()").await.unwrap();
    eventually("another one serves", async || ask(&repos, "pg_backend_pid()").await.unwrap() != before).await;
}

/// A thread may leave one runtime and enter another, which does not drive the connections of the first.
#[test]
fn a_thread_may_change_its_runtime() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (one, other) = (runtime(), runtime());
    // Tests share their servers, which live on a runtime of their own.
    let repos = one.block_on(repos("runtimes", |settings| settings));
    assert_eq!(one.block_on(ask(&repos, "1")).unwrap(), 1);
    assert_eq!(other.block_on(ask(&repos, "2")).unwrap(), 2);
    assert_eq!(one.block_on(ask(&repos, "3")).unwrap(), 3);
}

#[tokio::test]
async fn reads_can_have_connections_of_their_own() {
    let repos = repos("own", Settings::without_sharing).await;
    let mut slow = Box::pin(ask(&repos, SLOW));
    assert!((&mut slow).now_or_never().is_none());
    assert_eq!(ask(&repos, "1").await.unwrap(), 1);
    assert!((&mut slow).now_or_never().is_none(), "the slow one still runs");
}
