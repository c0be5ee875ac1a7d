//! What the tasks do with a database, and the tally of it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use archipelago::Error;
use archipelago_app::reads::user_query;
use archipelago_app::repos::Repos;
use archipelago_app::users::User;
use archipelago_measure::milliseconds;
use diesel::sql_types::Double;
use diesel_async::AsyncPgConnection;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{block_in_place, spawn_blocking};
use tokio::time::timeout;

/// How many tasks there are, on all workers together.
pub const TASKS: usize = 64;

/// How long a slow read takes, and after how long a dropped one is dropped.
const SLOW: f64 = 0.02;
const DROPPED_AFTER: Duration = Duration::from_millis(5);

diesel::define_sql_function! { fn pg_sleep(seconds: Double) -> diesel::sql_types::Text; }

/// What became of the operations.
#[derive(Default)]
pub struct Tally {
    done: AtomicUsize,
    refused: AtomicUsize,
    quick: Mutex<Vec<Duration>>,
}

impl Tally {
    fn record<T>(&self, outcome: &Result<T, Error>) {
        let counter = if outcome.is_ok() { &self.done } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Those that were done per second, the share of those that were refused in per cent, and
    /// percentiles of the quick reads in milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "a turn has fewer than 2^53 operations")]
    pub fn figures(&self, seconds: f64) -> [f64; 4] {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed) as f64;
        let (done, refused) = (count(&self.done), count(&self.refused));
        let mut quick = self.quick.lock().unwrap_or_else(PoisonError::into_inner).clone();
        quick.sort_unstable();
        let percentile = |percent: usize| {
            quick.get(quick.len() * percent / 100).map_or(f64::NAN, |time| milliseconds(*time))
        };
        [done / seconds, 100.0 * refused / (done + refused), percentile(50), percentile(99)]
    }
}

/// Does one thing after another until `stop`.
pub async fn work(task: usize, repos: Arc<Repos>, tally: Arc<Tally>, stop: Arc<AtomicBool>) {
    let mut next = task;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..10 {
            let begun = Instant::now();
            let read = quick(&repos).await;
            let took = begun.elapsed();
            tally.record(&read);
            tally.quick.lock().unwrap_or_else(PoisonError::into_inner).push(took);
        }
        match next % 7 {
            0 => tally.record(&sleep(&repos).await),
            1 => tally.record(&write(&repos).await),
            2 => tally.record(&transaction(&repos).await),
            3 => tally.record(&snapshot(&repos).await),
            4 => {
                if let Ok(read) = timeout(DROPPED_AFTER, sleep(&repos)).await {
                    tally.record(&read);
                }
            }
            5 => {
                let (repos, runtime) = (repos.clone(), Handle::current());
                let blocking = spawn_blocking(move || runtime.block_on(quick(&repos)));
                if let Ok(read) = blocking.await {
                    tally.record(&read);
                }
            }
            _ if Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread => {
                let read = block_in_place(|| Handle::current().block_on(quick(&repos)));
                tally.record(&read);
            }
            _ => {}
        }
        next += 1;
    }
}

async fn quick(repos: &Repos) -> Result<Option<User>, Error> {
    repos.replica().optional(user_query(7)).await
}

async fn sleep(repos: &Repos) -> Result<String, Error> {
    repos.replica().get_result(diesel::select(pg_sleep(SLOW))).await
}

async fn write(repos: &Repos) -> Result<usize, Error> {
    Ok(repos.primary().execute(rename()).await?.value)
}

async fn transaction(repos: &Repos) -> Result<usize, Error> {
    use diesel_async::RunQueryDsl;

    let work = async |connection: &mut AsyncPgConnection| {
        Ok::<_, Error>(rename().execute(connection).await?)
    };
    Ok(repos.primary().transaction(work).await?.value)
}

async fn snapshot(repos: &Repos) -> Result<Vec<User>, Error> {
    repos.replica().snapshot(async |snapshot| snapshot.load(user_query(7)).await).await
}

/// A statement that touches no row: what it waits for is a connection, and no lock.
fn rename() -> diesel::query_builder::SqlQuery {
    diesel::sql_query("UPDATE users SET name = name WHERE id = 0")
}
