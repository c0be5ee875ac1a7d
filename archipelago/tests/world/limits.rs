//! `POOL_SIZE` is the most that a process opens to one server, whatever its runtimes, and whatever
//! its callers drop.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use archipelago::{Error, RepoSet, Settings, Timeouts};
use archipelago_lab::{World, eventually};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::runtime;
use tokio::sync::Barrier;
use tokio::time::timeout;

use super::setup::{DEADLINE, HOUR, Repos, admin, create_users, users};

diesel::define_sql_function! { fn pg_sleep(seconds: Double) -> Text; }
diesel::define_sql_function! { fn pg_backend_pid() -> Integer; }

const POOL_SIZE: u32 = 2;

/// By when the server is done with abandoned reads: they are cancelled. Their own limit is longer.
const CANCELLED_WITHIN: Duration = Duration::from_secs(8);

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// How many backends of the pools there are in the database of the test.
async fn backends(admin: &mut AsyncPgConnection, condition: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) AS n FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'archipelago'
             AND pid <> pg_backend_pid() AND {condition}"
    );
    diesel::sql_query(sql).get_result::<Count>(admin).await.unwrap().n
}

async fn small(world: &World) -> Settings {
    let patient = Timeouts::default().with_checkout(DEADLINE).unwrap();
    let patient = patient.with_shutdown(DEADLINE).unwrap();
    let settings = create_users(world).await.with_pool_size(POOL_SIZE).with_max_lag(HOUR);
    settings.with_timeouts(patient).in_region("home")
}

async fn read(repos: &Repos) -> Result<Vec<String>, Error> {
    repos.replica().load(users::table.select(users::name)).await
}

async fn sleep(repos: &Repos, seconds: f64) -> Result<String, Error> {
    repos.replica().get_result(diesel::select(pg_sleep(seconds))).await
}

async fn write(repos: &Repos) -> Result<usize, Error> {
    let user = diesel::insert_into(users::table).values((users::name.eq("Ada"), users::age.eq(36)));
    Ok(repos.primary().execute(user).await?.value)
}

async fn snapshot(repos: &Repos) -> Result<Vec<String>, Error> {
    let names = || users::table.select(users::name);
    repos.replica().snapshot(async |snapshot| snapshot.load(names()).await).await
}

async fn transaction(repos: &Repos) -> Result<usize, Error> {
    let birthday = || diesel::update(users::table).set(users::age.eq(users::age + 1));
    let work = async |connection: &mut AsyncPgConnection| {
        Ok::<_, Error>(birthday().execute(connection).await?)
    };
    Ok(repos.primary().transaction(work).await?.value)
}

/// Everything that a program does with a pool, several times at once. Ends when all have done it, or
/// failed.
async fn work(repos: &Repos, done: &Barrier) {
    let outcome = AssertUnwindSafe(Box::pin(work_alone(repos))).catch_unwind().await;
    done.wait().await;
    outcome.unwrap_or_else(|failure| resume_unwind(failure));
}

async fn work_alone(repos: &Repos) {
    for _ in 0..3 {
        let reads = join_all((0..8).map(|_| read(repos)));
        let (reads, slow, written, seen, changed, dropped) = tokio::join!(
            reads,
            sleep(repos, 0.05),
            write(repos),
            snapshot(repos),
            transaction(repos),
            timeout(Duration::from_millis(20), sleep(repos, 0.5)),
        );
        assert!(reads.iter().all(Result::is_ok), "{reads:?}");
        slow.unwrap();
        written.unwrap();
        seen.unwrap();
        changed.unwrap();
        assert!(dropped.is_err());
    }
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn pool_size_bounds_all_runtimes_together(world: World) {
    let settings = small(&world).await;
    assert_bounded(&world, &settings).await;
}

/// In development one database plays every region.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn pool_size_bounds_all_regions_of_one_server_together(world: World) {
    let settings = small(&world).await.in_region("near");
    let home = settings.url("home").unwrap().expose().to_owned();
    let settings = ["near", "far"]
        .into_iter()
        .fold(settings, |settings, region| settings.with_url(region, &home).unwrap());
    assert_bounded(&world, &settings).await;
}

/// Asserts that a process on all kinds of runtimes has [`POOL_SIZE`] connections to the primary's
/// server, and never more.
async fn assert_bounded(world: &World, settings: &Settings) {
    let repos = Arc::new(Repos::connect(settings).await.unwrap());
    let mut admin = admin(world, "home").await;
    // A connection ends with its runtime, and the server may count it for a moment longer.
    let done = Arc::new(Barrier::new(8));
    let worker = |repos: Arc<Repos>, done: Arc<Barrier>| {
        move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(work(&repos, &done));
        }
    };
    let threads: Vec<_> =
        (0..4).map(|_| std::thread::spawn(worker(repos.clone(), done.clone()))).collect();
    let shared: Vec<_> = (0..4)
        .map(|_| {
            let (repos, done) = (repos.clone(), done.clone());
            let handle = runtime::Handle::current();
            tokio::task::spawn_blocking(move || handle.block_on(work(&repos, &done)))
        })
        .collect();
    let waiting = tokio::spawn(async move {
        join_all(shared).await.into_iter().for_each(Result::unwrap);
        tokio::task::spawn_blocking(|| threads.into_iter().for_each(|it| it.join().unwrap()))
            .await
            .unwrap();
    });
    let mut most = 0;
    while !waiting.is_finished() {
        most = most.max(backends(&mut admin, "true").await);
        let state = repos.leader().state();
        assert!(state.connections <= POOL_SIZE, "{state:?}");
    }
    waiting.await.unwrap();
    assert_eq!(most, i64::from(POOL_SIZE));
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_runtime_that_ends_takes_no_pool_with_it(world: World) {
    let repos = Arc::new(Repos::connect(&small(&world).await.with_pool_size(1)).await.unwrap());
    // Each ends while it opens a connection, or waits for one, or for an answer.
    for micros in (0..40).map(|step| step * 250) {
        let repos = repos.clone();
        let ended = std::thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let moment = Duration::from_micros(micros);
            runtime.block_on(async {
                let _ = timeout(moment, async { tokio::join!(write(&repos), read(&repos)) }).await;
            });
        });
        tokio::task::spawn_blocking(|| ended.join().unwrap()).await.unwrap();
    }
    let (written, seen) = tokio::join!(write(&repos), read(&repos));
    written.unwrap();
    seen.unwrap();
}

/// Runs `work` on a runtime of its own, which ends with it.
async fn on_a_short_runtime<T: Send + 'static>(
    repos: &Arc<Repos>,
    work: impl AsyncFnOnce(&Repos) -> T + Send + 'static,
) -> T {
    let repos = repos.clone();
    let ended = std::thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work(&repos))
    });
    tokio::task::spawn_blocking(|| ended.join().unwrap()).await.unwrap()
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_connection_to_check_out_outlives_its_runtimes(world: World) {
    let repos = Arc::new(Repos::connect(&small(&world).await).await.unwrap());
    let backend = async |repos: &Repos| -> i32 {
        repos.primary().get_result(diesel::select(pg_backend_pid())).await.unwrap().value
    };
    let first = backend(&repos).await;
    for _ in 0..3 {
        assert_eq!(on_a_short_runtime(&repos, backend).await, first);
        assert_eq!(backend(&repos).await, first);
    }
    // Without a user it is driven on, else its end would not be noticed.
    assert_eq!(on_a_short_runtime(&repos, backend).await, first);
    let connections = || repos.leader().writing().state().connections;
    assert_eq!(connections(), 1);
    let ended = format!("SELECT pg_terminate_backend({first})");
    admin(&world, "home").await.batch_execute(&ended).await.unwrap();
    eventually("its end is noticed", DEADLINE, async || connections() == 0).await;
    repos.shutdown().await;
}

/// The runtime of a caller ends while the server works for it.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn work_that_a_runtime_leaves_behind_holds_its_slot(world: World) {
    let repos = Arc::new(Repos::connect(&small(&world).await.with_pool_size(1)).await.unwrap());
    let mut admin = admin(&world, "home").await;
    let slow = async |repos: &Repos| {
        let sleeps = repos.primary().get_result::<String>(diesel::select(pg_sleep(2.0)));
        timeout(Duration::from_millis(100), sleeps).await.is_err()
    };
    write(&repos).await.unwrap();
    for _ in 0..2 {
        assert!(on_a_short_runtime(&repos, slow).await);
        assert_eq!(backends(&mut admin, "state = 'active'").await, 1);
        let others = write(&repos);
        tokio::pin!(others);
        while timeout(Duration::from_millis(10), &mut others).await.is_err() {
            assert!(backends(&mut admin, "true").await <= 1);
        }
    }
    repos.shutdown().await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn reads_that_a_runtime_leaves_behind_hold_their_slots(world: World) {
    let repos = Arc::new(Repos::connect(&small(&world).await).await.unwrap());
    let mut admin = admin(&world, "home").await;
    let slow = async |repos: &Repos| {
        timeout(Duration::from_millis(50), sleep(repos, 600.0)).await.is_err()
    };
    let mut most_at_work = 0;
    for _ in 0..10 {
        assert!(on_a_short_runtime(&repos, slow).await);
        assert!(backends(&mut admin, "true").await <= i64::from(POOL_SIZE));
        most_at_work = backends(&mut admin, "state = 'active'").await.max(most_at_work);
    }
    assert_ne!(most_at_work, 0, "the server works on what was left behind");
    // Long before the server would end it by itself.
    eventually("the server works on nothing", CANCELLED_WITHIN, async || {
        backends(&mut admin, "state <> 'idle'").await == 0
    })
    .await;
    read(&repos).await.unwrap();
    repos.shutdown().await;
}

/// A runtime that has read, and runs what `then` has it run: as a synchronous program that reads now
/// and then, each time in `block_on`.
fn standing(
    settings: Settings,
    then: impl FnOnce(runtime::Runtime, Arc<Repos>) + Send + 'static,
) -> (std::thread::JoinHandle<()>, tokio::sync::oneshot::Receiver<Arc<Repos>>) {
    let (give, take) = tokio::sync::oneshot::channel();
    let standing = std::thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let repos = runtime.block_on(async {
            let repos = Arc::new(Repos::connect(&settings).await.unwrap());
            read(&repos).await.unwrap();
            repos
        });
        give.send(repos.clone()).unwrap();
        then(runtime, repos);
    });
    (standing, take)
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn the_connection_of_a_runtime_that_stands_still_serves_others(world: World) {
    let settings = small(&world).await.with_pool_size(1);
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let (standing, take) = standing(settings, move |_, _| {
        let _ = receive.recv();
    });
    let repos = take.await.unwrap();
    read(&repos).await.unwrap();
    assert_eq!(on_a_short_runtime(&repos, async |repos| read(repos).await.unwrap()).await, [""; 0]);
    write(&repos).await.unwrap();
    snapshot(&repos).await.unwrap();
    read(&repos).await.unwrap();
    drop(send);
    tokio::task::spawn_blocking(|| standing.join().unwrap()).await.unwrap();
    repos.shutdown().await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_burst_of_dropped_reads_holds_up_no_other(world: World) {
    let repos = Repos::connect(&small(&world).await).await.unwrap();
    let mut admin = admin(&world, "home").await;
    let slow = || timeout(Duration::from_millis(100), sleep(&repos, 600.0));
    assert!(join_all((0..200).map(|_| slow())).await.iter().all(Result::is_err));
    read(&repos).await.unwrap();
    assert!(backends(&mut admin, "true").await <= i64::from(POOL_SIZE));
    eventually("the server works on nothing", CANCELLED_WITHIN, async || {
        backends(&mut admin, "state <> 'idle'").await == 0
    })
    .await;
    repos.shutdown().await;
}

/// The runtime of a connection sends a request and stands still, while another one waits on it.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_runtime_that_stands_still_again_holds_up_no_other(world: World) {
    let settings = small(&world).await.with_pool_size(1);
    let mut admin = admin(&world, "home").await;
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let (standing, take) = standing(settings, move |runtime, repos| {
        receive.recv().unwrap();
        let unread = runtime.spawn(async move { read(&repos).await });
        runtime.block_on(tokio::task::yield_now());
        let _ = receive.recv();
        runtime.block_on(unread).unwrap().unwrap();
    });
    let repos = take.await.unwrap();
    let slow = async { timeout(CANCELLED_WITHIN, sleep(&repos, 0.7)).await };
    let stand_still = async {
        eventually("the server works", DEADLINE, async || {
            backends(&mut admin, "state = 'active'").await == 1
        })
        .await;
        send.send(()).unwrap();
    };
    let (slow, ()) = tokio::join!(slow, stand_still);
    slow.expect("its answer is read").unwrap();
    drop(send);
    tokio::task::spawn_blocking(|| standing.join().unwrap()).await.unwrap();
    repos.shutdown().await;
}

/// More reads than one connection takes, of two runtimes.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn callers_that_wait_for_room_are_all_woken(world: World) {
    let settings = small(&world).await.with_pool_size(1);
    let repos = Arc::new(Repos::connect(&settings).await.unwrap());
    read(&repos).await.unwrap();
    let full = [sleep(&repos, 0.3).map(|slept| slept.map(drop)).boxed()];
    let reads = (1..64).map(|_| read(&repos).map(|rows| rows.map(drop)).boxed());
    let mut full: Vec<_> = full.into_iter().chain(reads).collect();
    for read in &mut full {
        assert!(futures_util::poll!(read).is_pending());
    }
    let (waits, has_waited) = tokio::sync::oneshot::channel();
    let borrowed = repos.clone();
    let other = std::thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut read = std::pin::pin!(read(&borrowed));
            assert!(futures_util::poll!(&mut read).is_pending());
            waits.send(()).unwrap();
            read.await
        })
    });
    has_waited.await.unwrap();
    let more = join_all((0..10).map(|_| read(&repos)));
    let (full, more) = tokio::join!(join_all(full), timeout(CANCELLED_WITHIN, more));
    assert!(full.iter().all(Result::is_ok), "{full:?}");
    let more = more.expect("each is woken");
    assert!(more.iter().all(Result::is_ok), "{more:?}");
    tokio::task::spawn_blocking(|| other.join().unwrap()).await.unwrap().unwrap();
    repos.shutdown().await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn reads_that_are_dropped_are_cancelled(world: World) {
    let repos = Repos::connect(&small(&world).await).await.unwrap();
    let mut admin = admin(&world, "home").await;
    for _ in 0..4 {
        let slow = sleep(&repos, 600.0);
        assert!(timeout(Duration::from_millis(20), slow).await.is_err());
        let raw = diesel::sql_query("SELECT pg_sleep(600)::text AS name");
        let raw = repos.replica().load_unchecked::<Name>(raw);
        assert!(timeout(Duration::from_millis(20), raw).await.is_err());
    }
    eventually("the server works on nothing", DEADLINE, async || {
        backends(&mut admin, "state <> 'idle'").await == 0
    })
    .await;
    eventually("every connection is idle", DEADLINE, async || {
        let state = repos.leader().state();
        state.idle == state.connections
    })
    .await;
    assert!(backends(&mut admin, "true").await <= i64::from(POOL_SIZE));
    assert!(repos.leader().reading().counts().cancels >= 4);
}

#[derive(QueryableByName)]
#[expect(dead_code)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_read_behind_a_cancelled_one_gets_its_answer(world: World) {
    let repos = Repos::connect(&small(&world).await.with_pool_size(1)).await.unwrap();
    read(&repos).await.unwrap();
    sleep(&repos, 0.0).await.unwrap();
    for _ in 0..5 {
        let slow = sleep(&repos, 600.0);
        let (dropped, behind) = tokio::join!(
            timeout(Duration::from_millis(5), slow),
            join_all((0..20).map(|_| read(&repos)))
        );
        assert!(dropped.is_err());
        assert!(behind.iter().all(Result::is_ok), "{behind:?}");
    }
}

/// It has committed, and its caller does not know.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn commits_that_wait_for_a_standby_hold_their_slots(world: World) {
    let short = Timeouts::default().with_statement(Duration::from_millis(100)).unwrap();
    let short = short.with_checkout(Duration::from_millis(500)).unwrap();
    let short = short.with_shutdown(DEADLINE).unwrap();
    let settings = create_users(&world).await.with_pool_size(POOL_SIZE).with_timeouts(short);
    let repos = Repos::connect(&settings.in_region("near").with_max_lag(HOUR)).await.unwrap();
    eventually("the primary leads", DEADLINE, async || write(&repos).await.is_ok()).await;
    let mut admin = admin(&world, "home").await;
    let set = async |admin: &mut AsyncPgConnection, standbys: &str| {
        let sql = format!("ALTER SYSTEM SET synchronous_standby_names = '{standbys}'");
        admin.batch_execute(&sql).await.unwrap();
        admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    };
    admin.batch_execute("SET synchronous_commit = local").await.unwrap();
    set(&mut admin, "absent").await;
    eventually("commits wait", DEADLINE, async || {
        let _ = timeout(Duration::from_millis(100), write(&repos)).await;
        backends(&mut admin, "wait_event = 'SyncRep'").await == i64::from(POOL_SIZE)
    })
    .await;
    for _ in 0..3 {
        let error = write(&repos).await.unwrap_err();
        assert!(matches!(error, Error::Busy { region: "home", .. }), "{error}");
    }
    let waiting = backends(&mut admin, "wait_event = 'SyncRep'").await;
    assert_eq!(waiting, i64::from(POOL_SIZE), "none was cancelled, and none was added");
    set(&mut admin, "").await;
    eventually("writes go on", DEADLINE, async || write(&repos).await.is_ok()).await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_connection_keeps_a_thousand_statements_at_most(world: World) {
    let repos = Repos::connect(&small(&world).await).await.unwrap();
    let statements = || repos.members().next().unwrap().reading().state().statements;
    // The binary digits of a number, as conditions: another statement for each number.
    let read = async |number: u32| {
        let mut query = users::table.select(users::name).into_boxed();
        for digit in 0..10 {
            query = match number >> digit & 1 {
                0 => query.filter(users::age.eq(digit)),
                _ => query.filter(users::age.ne(digit)),
            };
        }
        repos.replica().load::<String>(query).await.unwrap();
    };
    for number in 0..900 {
        read(number).await;
    }
    assert!((900..1000).contains(&statements()), "{}", statements());
    for number in 900..1024 {
        read(number).await;
    }
    eventually("the full connection is closed", DEADLINE, async || statements() < 200).await;
    repos.shutdown().await;
}
