//! A world without sockets: the decisions of this crate run against simulated servers, under
//! simulated time.
//!
//! [`postgres`] has servers in a tree of timelines, [`process`] what one process of ours knows,
//! [`visitor`] a visitor's cookies, [`world`] time and events. The rooms of `world` have the monitor,
//! the requests, the faults, and what must hold.
//! A [`schedule`](step::schedule) is a list of plain [`Step`](step::Step)s that follows from a seed.
//! What a process decides is decided by the code that ships: the election, the requirement of a read,
//! the state of a server, the next candidate, a visitor's session.
//!
//! ```sh
//! cargo test --lib simulation                                            # a few seconds
//! SEED=17 cargo test --release --lib simulation -- --ignored --nocapture # one schedule, told
//! OPERATIONS=100000000 cargo test --release --lib simulation -- --ignored --nocapture
//! ```

#![allow(clippy::struct_excessive_bools, reason = "a server or a request is up, paused, … at once")]

mod defect;
mod postgres;
mod process;
mod request;
mod shrink;
mod step;
mod visitor;
mod world;

use std::fmt;
use std::time::Instant;

use self::defect::Defect;
use self::shrink::shortest;
use self::step::{Step, schedule};
use self::world::World;

/// How many steps a schedule has.
const LENGTH: usize = 250;

/// Replays one seed.
const REPLAY: &str = "cargo test --workspace --lib simulation::long_run -- --ignored --nocapture";

/// Runs a schedule, and returns the world after it.
fn run(steps: &[Step], defect: Option<Defect>, tells: bool) -> World {
    let mut world = World::new(defect, tells);
    for step in steps {
        world.run(*step);
        if world.violation.is_some() {
            return world;
        }
    }
    world.settle();
    world
}

/// The shortest story of a violation.
fn story(steps: &[Step], defect: Option<Defect>) -> String {
    // What follows the violation tells nothing.
    let breaks = |steps: &[Step]| {
        let is_sound = |steps| defect.is_none() || run(steps, None, false).violation.is_none();
        run(steps, defect, false).violation.is_some() && is_sound(steps)
    };
    let begins = (0..=steps.len()).step_by(10).find(|length| breaks(&steps[..*length]));
    let steps = &steps[..begins.unwrap_or(steps.len())];
    let steps = shortest(steps, breaks);
    let world = run(&steps, defect, true);
    world.story.unwrap_or_default().join("\n")
}

/// A schedule that breaks a promise.
struct Found {
    seed: u64,
    steps: Vec<Step>,
    defect: Option<Defect>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, steps, defect } = self;
        match defect {
            Some(defect) => writeln!(f, "{defect:?} breaks a promise with the seed {seed}:")?,
            None => writeln!(f, "A promise is broken. To replay it:\n  SEED={seed} {REPLAY}")?,
        }
        f.write_str(&story(steps, *defect))
    }
}

/// Runs schedules until so many operations are done. Returns the first that breaks a promise.
fn search(
    seeds: impl Iterator<Item = u64>,
    operations: u64,
    defect: Option<Defect>,
) -> Result<u64, Found> {
    let mut done = 0;
    for seed in seeds {
        let steps = schedule(seed, LENGTH);
        let world = run(&steps, defect, false);
        done += world.operations;
        // What breaks without the defect too does not show it.
        let is_shown = || defect.is_none() || run(&steps, None, false).violation.is_none();
        if world.violation.is_some() && is_shown() {
            return Err(Found { seed, steps, defect });
        }
        if done >= operations {
            break;
        }
    }
    Ok(done)
}

#[test]
fn no_schedule_breaks_a_promise() {
    if let Err(found) = search(0.., 40_000, None) {
        panic!("{found}");
    }
}

#[test]
#[ignore = "the long run: SEED, OPERATIONS"]
fn long_run() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("SEED") {
        let steps = schedule(seed, LENGTH);
        let is_broken = run(&steps, None, false).violation.is_some();
        assert!(!is_broken, "{}", Found { seed, steps, defect: None });
        println!("seed {seed}: no violation");
        return;
    }
    let (first, operations) =
        (u64::from(fastrand::u32(..)), number("OPERATIONS").unwrap_or(1_000_000));
    let begun = Instant::now();
    println!("first seed: {first}");
    match search(first.., operations, None) {
        Ok(done) => println!("{done} operations in {:?}, no violation", begun.elapsed()),
        Err(found) => panic!("{found}"),
    }
}

/// Finds a violation within a fixed number of operations, from a fixed seed on. The same steps break
/// nothing without the defect.
fn finds(defect: Defect) {
    let Err(found) = search(0.., 400_000, Some(defect)) else { panic!("{defect:?} is not found") };
    assert_eq!(run(&found.steps, None, false).violation, None);
    println!("{found}");
}

#[test]
fn finds_any_server_that_answers_as_a_primary() {
    finds(Defect::AnyPrimary);
}

#[test]
fn finds_a_timeline_that_leads_without_evidence() {
    finds(Defect::NewestLeads);
}

#[test]
fn finds_a_new_database_that_is_not_adopted() {
    finds(Defect::ForeignForEver);
}

#[test]
fn finds_a_position_that_counts_as_none() {
    finds(Defect::Rumours);
}

#[test]
fn finds_a_promotion_that_is_not_noticed() {
    finds(Defect::NoBackground);
}

#[test]
fn finds_a_lost_history_that_is_served() {
    finds(Defect::NoFitness);
}

#[test]
fn finds_a_position_before_what_was_shown() {
    finds(Defect::NoBound);
}

#[test]
fn finds_cookies_that_go_back() {
    finds(Defect::OneCookie);
}
