//! `soak`: whether an instance grows while visitors with browsers come for half an hour, and a fault
//! meets them twice.
//!
//! First the visitors come as fast as they are served, for ten seconds. Then they come at two thirds of
//! that rate. After a third of the time the nearest replica crashes, after two thirds it hangs, each for
//! a tenth of the time.
//!
//! `cargo run --release -p archipelago-benches -- soak`

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use archipelago_measure::table::{plain_table, trimmed};
use clap::Args;
use procfs::process::Process;
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use crate::child::Running;
use crate::contenders::{Contender, replica_region};
use crate::cost::memory_mib;
use crate::faults::Fault;
use crate::world::{self, INSTANCE};
use crate::{Failed, http};

/// How to measure.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How many visitors come, each with a connection and a cookie jar.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2000))]
    visitors: u32,
    /// How long they come, in minutes.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
}

/// How many users there are at the start.
const USERS: u64 = 1000;

/// How long the highest rate is looked for.
const HIGHEST: Duration = Duration::from_secs(10);

/// Of so many requests of one visitor, one creates a user, and one shows the list.
const ROUND: u64 = 20;

/// What the visitors got, shared by all of them.
#[derive(Default)]
struct Answers {
    count: AtomicU64,
    /// How often each failure came since the last look.
    failures: Mutex<BTreeMap<String, u64>>,
    have_enough: AtomicBool,
}

/// Measures, and prints the report.
///
/// # Errors
/// When a server or an instance does not start, or a fault cannot be caused.
pub async fn run(options: &Options) -> Result<(), Failed> {
    let world = world::start(u32::try_from(USERS)?).await?;
    let vars = world::vars(&world, replica_region(), |server| server.url_from(INSTANCE))?;
    let running = Contender::Archipelago.start(&vars).await?;

    let (answers, visitors) = start_visitors(options.visitors, &running, None)?;
    sleep(HIGHEST).await;
    answers.have_enough.store(true, Ordering::Relaxed);
    visitors.join_all().await;
    let highest = answers.count.load(Ordering::Relaxed) / HIGHEST.as_secs();
    let rate = (highest * 2 / 3).max(1);
    println!("{} visitors, {rate} requests per second of {highest}\n", options.visitors);

    let pause = Duration::from_secs(u64::from(options.visitors)).div_f64(rate_of(rate));
    let (answers, visitors) = start_visitors(options.visitors, &running, Some(pause))?;
    let (begun, time) = (Instant::now(), Duration::from_secs(60 * options.minutes));
    let faults = async {
        for (fault, at) in [(Fault::Kill, time / 3), (Fault::Freeze, time * 2 / 3)] {
            sleep_until(begun + at).await;
            fault.cause(&world).await?;
            sleep(time / 10).await;
            fault.repair(&world).await?;
        }
        Ok::<_, Failed>(())
    };
    let looks = look(&running, &answers, begun, time);
    let (report, ()) = tokio::try_join!(looks, faults)?;
    answers.have_enough.store(true, Ordering::Relaxed);
    visitors.join_all().await;
    running.stop().await?;
    world.shutdown().await?;
    print!("{report}");
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "no program answers 2^53 times a second")]
fn rate_of(rate: u64) -> f64 {
    rate as f64
}

/// Looks at the process thirty times.
async fn look(
    running: &Running,
    answers: &Answers,
    begun: Instant,
    time: Duration,
) -> Result<String, Failed> {
    let mut table =
        plain_table(["MINUTE", "MEMORY", "FILES", "THREADS", "PER SECOND", "FAILED"], 1);
    let mut before = 0;
    for number in 1..=30 {
        sleep_until(begun + time * number / 30).await;
        let process = Process::new(running.pid)?;
        let count = answers.count.load(Ordering::Relaxed);
        let failures =
            std::mem::take(&mut *answers.failures.lock().unwrap_or_else(PoisonError::into_inner));
        let failures: Vec<_> =
            failures.into_iter().map(|(failure, times)| format!("{times} × {failure}")).collect();
        table.add_row([
            format!("{:.1}", begun.elapsed().as_secs_f64() / 60.0),
            format!("{:.1} MiB", memory_mib(running.pid)?),
            process.fd_count()?.to_string(),
            process.stat()?.num_threads.to_string(),
            format!("{:.0}", rate_of(count - before) / (time.as_secs_f64() / 30.0)),
            failures.join(", "),
        ]);
        before = count;
        eprintln!("{number} of 30");
    }
    Ok(trimmed(&table))
}

fn start_visitors(
    count: u32,
    running: &Running,
    pause: Option<Duration>,
) -> Result<(Arc<Answers>, JoinSet<()>), Failed> {
    let (answers, mut visitors) = (Arc::new(Answers::default()), JoinSet::new());
    for visitor in 0..u64::from(count) {
        let client = http::client().cookie_store(true).redirect(Policy::none());
        let client = client.pool_max_idle_per_host(1).build()?;
        visitors.spawn(visit(client, running.url("/users"), answers.clone(), pause, visitor));
    }
    Ok((answers, visitors))
}

/// Reads users one after the other, and now and then the list; creates one now and then.
async fn visit(
    client: Client,
    users: String,
    answers: Arc<Answers>,
    pause: Option<Duration>,
    visitor: u64,
) {
    let mut turns = pause.map(interval);
    if let Some(turns) = &mut turns {
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    for number in visitor.. {
        if let Some(turns) = &mut turns {
            turns.tick().await;
        }
        if answers.have_enough.load(Ordering::Relaxed) {
            return;
        }
        let request = match number % ROUND {
            0 => client.post(&users).form(&[("user[name]", "Ada Lovelace"), ("user[age]", "36")]),
            1 => client.get(&users),
            _ => client.get(format!("{users}/{}", number * 7 % USERS + 1)),
        };
        let failure = match request.send().await {
            Ok(answer) if answer.status().is_success() || answer.status().is_redirection() => {
                answer.bytes().await.err().map(|error| error.to_string())
            }
            Ok(answer) => Some(answer.status().to_string()),
            Err(error) => Some(error.without_url().to_string()),
        };
        answers.count.fetch_add(1, Ordering::Relaxed);
        if let Some(failure) = failure {
            let mut failures = answers.failures.lock().unwrap_or_else(PoisonError::into_inner);
            *failures.entry(failure).or_default() += 1;
        }
    }
}
