//! `idle`: what instances cost that nobody asks, by how they watch the databases.

use std::time::Duration;

use archipelago::RepoSet;
use archipelago_app::plain_table::{plain_table, trimmed};
use archipelago_app::repos::Repos;
use archipelago_lab::{Server, World};
use clap::Args;
use tokio::time::sleep;

use crate::Failed;
use crate::child::Running;
use crate::contenders::{Contender, replica_region};
use crate::counter::{Counted, Counter};
use crate::databases::Watched;
use crate::far::{self, INSTANCE};
use crate::figures::median;

/// How to measure.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// For how long, in seconds: first without the instances, then with them.
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

const USERS: u32 = 1000;

/// For the instances to open their connections, over long lines.
const WARM_UP: Duration = Duration::from_secs(10);

/// The primary notes running transactions every 15 s, once it has written something.
const SLICE: Duration = Duration::from_secs(15);

/// An instance, and what counts between it and each server.
struct Watching<'a> {
    region: &'a str,
    /// Where it stands.
    place: &'a str,
    counters: Vec<(&'a Server, Counter)>,
    running: Running,
}

/// What went between an instance and a server.
struct Row {
    instance: String,
    server: String,
    round_trip: Duration,
    counted: Counted,
}

/// Measures, and prints.
///
/// # Errors
/// When something does not start.
pub async fn run(options: &Options) -> Result<(), Failed> {
    let world = far::world(USERS).await?;
    let measured = on(&world, options).await;
    world.shutdown().await?;
    measured
}

async fn on(world: &World, options: &Options) -> Result<(), Failed> {
    // A crate beside this one makes reqwest want TLS. A provider that is there already will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let time = Duration::from_secs(options.seconds);
    let primary = Watched::new(world.primary()).await?;
    let alone = written(&primary, time).await?;
    // One near the primary does more: it gives the primary something to commit.
    let near = start(world, Repos::PRIMARY.code, Repos::PRIMARY.code).await?;
    let instances = [start(world, replica_region(), INSTANCE).await?, near];
    sleep(WARM_UP).await;
    let before = instances.each_ref().map(Watching::counted);
    let with = written(&primary, time).await?;
    let counted = instances.iter().zip(before).flat_map(|(instance, before)| {
        let now = instance.counted();
        instance.counters.iter().zip(now.into_iter().zip(before)).map(
            |((server, _), (now, before))| Row {
                instance: instance.region.to_owned(),
                server: server.region().to_owned(),
                round_trip: world.links().round_trip(instance.place, server.region()),
                counted: now.since(before),
            },
        )
    });
    println!(
        "An instance in {} and one in {}, which served one page and are asked nothing, for {} s: what goes between them and each server, without the\nbytes of TCP \
         and IP.\n",
        replica_region(),
        Repos::PRIMARY.code,
        options.seconds
    );
    print!("{}", table(&counted.collect::<Vec<_>>(), time));
    let [alone, with] = [alone, with].map(|bytes| per_hour(bytes, time));
    println!(
        "\nThe primary writes {with:.1} KiB of log an hour, which goes to each replica; without the instances {alone:.1}."
    );
    for instance in instances {
        instance.running.stop().await?;
    }
    Ok(())
}

/// Starts the instance of a region, which stands at `place`.
async fn start<'a>(
    world: &'a World,
    region: &'a str,
    place: &'a str,
) -> Result<Watching<'a>, Failed> {
    let mut counters = Vec::new();
    for server in world.servers() {
        let door =
            world.links().proxy(place, server.region(), (server.host(), server.port()).into())?;
        counters.push((server, Counter::before(door).await?));
    }
    let vars = far::vars(world, region, |server| {
        let address = format!("{}:{}", server.host(), server.port());
        let counter = counters.iter().find(|(counted, _)| counted.region() == server.region());
        let counter = counter.map_or(address.clone(), |(_, counter)| counter.address.to_string());
        Ok(server.url().replace(&address, &counter))
    })?;
    let running = Running::start(&["serve", Contender::Archipelago.name()], &vars).await?;
    // Before the first visitor it opens little.
    reqwest::get(running.url("/users")).await?.error_for_status()?;
    Ok(Watching { region, place, counters, running })
}

impl Watching<'_> {
    fn counted(&self) -> Vec<Counted> {
        self.counters.iter().map(|(_, counter)| counter.counted()).collect()
    }
}

/// The log that the primary writes in this time, in bytes: as it usually does, as `autovacuum` may write more in a moment.
async fn written(primary: &Watched, time: Duration) -> Result<f64, Failed> {
    let (mut found, mut before) = (Vec::new(), primary.log_position().await?);
    let slices = u32::try_from(time.as_secs() / SLICE.as_secs())?.max(1);
    for _ in 0..slices {
        sleep(time / slices).await;
        let now = primary.log_position().await?;
        found.push(as_number(now - before));
        before = now;
    }
    Ok(median(found) * f64::from(slices))
}

#[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^53 bytes")]
fn as_number(bytes: u64) -> f64 {
    bytes as f64
}

/// In KiB.
fn per_hour(bytes: f64, time: Duration) -> f64 {
    bytes / 1024.0 * 3600.0 / time.as_secs_f64()
}

fn table(rows: &[Row], time: Duration) -> String {
    let header = ["INSTANCE", "SERVER", "AWAY ms", "QUERIES/S", "SENT KiB/H", "RECEIVED KiB/H"];
    let mut table = plain_table(header, 2);
    for Row { instance, server, round_trip, counted } in rows {
        let Counted { statements, sent, received } = *counted;
        table.add_row([
            instance.clone(),
            server.clone(),
            format!("{:.0}", round_trip.as_secs_f64() * 1000.0),
            format!("{:.2}", as_number(statements) / time.as_secs_f64()),
            format!("{:.1}", per_hour(as_number(sent), time)),
            format!("{:.1}", per_hour(as_number(received), time)),
        ]);
    }
    trimmed(&table)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_row_for_each_server() {
        let counted = Counted { statements: 120, sent: 10 * 1024, received: 20 * 1024 };
        let row = Row {
            instance: "ord".to_owned(),
            server: "nrt".to_owned(),
            round_trip: Duration::from_millis(148),
            counted,
        };
        expect![[r#"
            INSTANCE  SERVER  AWAY ms  QUERIES/S  SENT KiB/H  RECEIVED KiB/H
            ord       nrt         148       2.00       600.0          1200.0
        "#]]
        .assert_eq(&table(&[row], Duration::from_mins(1)));
    }
}
