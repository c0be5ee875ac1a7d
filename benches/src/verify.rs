//! `verify`: what a visitor who wrote something costs: their reads ask the replica, too, whether it shows that already.

use std::time::Duration;

use archipelago_lab::Distances;
use clap::Args;
use reqwest::Client;
use reqwest::redirect::Policy;

use crate::Failed;
use crate::child::Running;
use crate::contenders::{Contender, replica_region};
use crate::databases::Databases;
use crate::figures::{Figures, comparison};
use crate::turn::turn;
use crate::wrk::Load;

/// How to measure.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How often each is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// The round trip of the long line, in milliseconds.
    #[arg(long, default_value_t = 100)]
    line: u64,
}

const USERS: u32 = 1000;

/// Opening a connection over the long line takes eight round trips.
const WARM_UP: u64 = 2;

/// Of the client, at home and over the long line: there nobody waits for a processor.
const CONNECTIONS: [u32; 2] = [64, 4];

/// Where no region is.
const AWAY: &str = "away";

/// Measures, and prints.
///
/// # Errors
/// When something does not start, or an answer was wrong.
pub async fn run(options: &Options) -> Result<(), Failed> {
    let distances = Distances::default().with_round_trip(replica_region(), AWAY, Duration::from_millis(options.line));
    let databases = Databases::start(distances, USERS).await?;
    let outcome = on(&databases, options).await;
    databases.stop().await?;
    outcome
}

async fn on(databases: &Databases, options: &Options) -> Result<(), Failed> {
    let Options { rounds, seconds, line } = *options;
    println!("{}\n", databases.description().await?);
    println!(
        "GET /users/{{id}} of this app, by a visitor who wrote something and by one who did not: medians of {rounds} rounds of"
    );
    println!("{seconds} s. The replica has replayed what was written. wrk with {CONNECTIONS:?} connections.\n");
    let cookie = cookie_of_a_writer(databases).await?;
    let names = ["reader at home".to_owned(), "writer at home".to_owned()];
    let names = names.into_iter().chain([format!("reader {line} ms away"), format!("writer {line} ms away")]);
    let mut rows: Vec<(String, Vec<Figures>)> = names.map(|name| (name, Vec::new())).collect();
    for round in 0..rounds {
        for (row, (name, measured)) in rows.iter_mut().enumerate() {
            eprintln!("round {} of {rounds}: {name}", round + 1);
            let cookie = (row % 2 == 1).then_some(cookie.as_str());
            let (place, connections) = ([replica_region(), AWAY][row / 2], CONNECTIONS[row / 2]);
            let running = Running::start(&["serve", Contender::Archipelago.name()], &databases.vars_from(place)?).await?;
            let load = Load { script: "user", seconds, connections, users: USERS, cookie };
            let turn = turn(running, databases, load, WARM_UP).await?;
            if let Some(trouble) = turn.trouble {
                return Err(format!("nothing is compared, because answers were wrong: {name}: {trouble}").into());
            }
            measured.push(turn.figures);
        }
    }
    let medians = rows.into_iter().filter_map(|(name, measured)| Some((name, Figures::median(&measured)?)));
    print!("{}", comparison(&medians.collect::<Vec<_>>(), [(1, 0), (3, 2)]));
    Ok(())
}

/// What a browser would send back after it created a user.
async fn cookie_of_a_writer(databases: &Databases) -> Result<String, Failed> {
    // A crate beside this one makes reqwest want TLS. A provider that is there already will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let running = Running::start(&["serve", Contender::Archipelago.name()], &databases.vars()?).await?;
    let client = Client::builder().redirect(Policy::none()).build()?;
    let form = [("user[name]", "Ada Lovelace"), ("user[age]", "36")];
    let answer = client.post(running.url("/users")).form(&form).send().await?.error_for_status()?;
    let cookies = answer.headers().get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
    let position = cookies.into_iter().find(|cookie| cookie.starts_with("archipelago_position="));
    let position = position.ok_or("a form was answered without a position")?.to_owned();
    running.stop().await?;
    databases.settle().await?;
    Ok(position)
}
