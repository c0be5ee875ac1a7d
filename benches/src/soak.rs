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
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use crate::Failed;
use crate::browser::{Browser, Page, USERS};
use crate::child::Running;
use crate::contenders::{Contender, replica_region};
use crate::cost::memory_mib;
use crate::faults::Fault;
use crate::world::{self, INSTANCE};

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

/// How long the highest rate is looked for.
const HIGHEST: Duration = Duration::from_secs(10);

/// Of so many requests of one visitor, one creates a user, and one shows the list.
const ROUND: u32 = 20;

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
    let world = world::start(USERS).await?;
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
    for visitor in 0..count {
        let browser = Browser::new(&running.url(""))?;
        visitors.spawn(visit(browser, answers.clone(), pause, visitor));
    }
    Ok((answers, visitors))
}

/// Reads users one after the other, and now and then the list; creates one now and then.
async fn visit(browser: Browser, answers: Arc<Answers>, pause: Option<Duration>, visitor: u32) {
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
        let page = match number % ROUND {
            0 => Page::Create,
            1 => Page::List,
            _ => Page::User,
        };
        let answer = browser.request(page, number).await;
        answers.count.fetch_add(1, Ordering::Relaxed);
        if let Err(failure) = answer {
            let mut failures = answers.failures.lock().unwrap_or_else(PoisonError::into_inner);
            *failures.entry(failure.to_string()).or_default() += 1;
        }
    }
}
