//! `idle`: what an instance without requests costs, because it monitors the databases.
//!
//! Counts queries and bytes per hour between each server and two instances: one in the region of a
//! replica, one in the primary's region. Also measures how much log the primary writes with and
//! without them.
//!
//! `cargo run --release -p archipelago-benches -- idle`

mod counter;

use std::time::Duration;

use archipelago::RegionSet;
use archipelago_app::repos::Repos;
use archipelago_lab::{Server, World};
use archipelago_measure::{Column, FigureTable, Figures, median, milliseconds};
use clap::Args;
use tokio::time::sleep;

use self::counter::{CountingProxy, Counts};
use crate::Failed;
use crate::child::Running;
use crate::contenders::{Contender, replica_region};
use crate::databases::AdminSession;
use crate::http;
use crate::world::{self, INSTANCE};

/// How to measure.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How long to measure, in seconds: first without the instances, then with them.
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

const USERS: u32 = 1000;

/// How long the instances have to open their connections over long distances.
const WARM_UP: Duration = Duration::from_secs(10);

/// How often the primary logs the running transactions, once it has written something else.
const LOG_INTERVAL: Duration = Duration::from_secs(15);

/// An instance, with a counting proxy before each server.
struct Instance<'a> {
    region: &'a str,
    /// The place from which the distances count.
    place: &'a str,
    proxies: Vec<(&'a Server, CountingProxy)>,
    running: Running,
}

/// What an instance and a server sent each other.
struct Row {
    instance: String,
    server: String,
    round_trip: Duration,
    counts: Counts,
}

/// Measures, and prints the report.
///
/// # Errors
/// When a server or an instance does not start.
pub async fn run(options: &Options) -> Result<(), Failed> {
    let world = world::start(USERS).await?;
    let measured = measure(&world, options).await;
    world.shutdown().await?;
    measured
}

async fn measure(world: &World, options: &Options) -> Result<(), Failed> {
    let time = Duration::from_secs(options.seconds);
    let primary = AdminSession::new(world.primary()).await?;
    let alone = log_written(&primary, time).await?;
    // The instance in the primary's region does more: it lets the primary commit something.
    let near = start(world, Repos::PRIMARY.code, Repos::PRIMARY.code).await?;
    let instances = [start(world, replica_region(), INSTANCE).await?, near];
    sleep(WARM_UP).await;
    let before = instances.each_ref().map(Instance::counts);
    let with = log_written(&primary, time).await?;
    let rows = instances.iter().zip(before).flat_map(|(instance, before)| {
        let now = instance.counts();
        instance.proxies.iter().zip(now.into_iter().zip(before)).map(
            |((server, _), (now, before))| Row {
                instance: instance.region.to_owned(),
                server: server.region().to_owned(),
                round_trip: world.links().round_trip(instance.place, server.region()),
                counts: now.since(before),
            },
        )
    });
    println!(
        "An instance in {} and one in {}, which served one page and then get no requests for {} s: what each sends to and \
         receives from\neach server, without the bytes of TCP and IP.\n",
        replica_region(),
        Repos::PRIMARY.code,
        options.seconds
    );
    print!("{}", table(&rows.collect::<Vec<_>>(), time));
    let [alone, with] = [alone, with].map(|bytes| kib_per_hour(bytes, time));
    println!(
        "\nThe primary writes {with:.1} KiB of log per hour and sends it to each replica; without the instances {alone:.1} KiB."
    );
    for instance in instances {
        instance.running.stop().await?;
    }
    Ok(())
}

/// Starts the instance of a region at `place`.
async fn start<'a>(
    world: &'a World,
    region: &'a str,
    place: &'a str,
) -> Result<Instance<'a>, Failed> {
    let mut proxies = Vec::new();
    for server in world.servers() {
        let door =
            world.links().proxy(place, server.region(), (server.host(), server.port()).into())?;
        proxies.push((server, CountingProxy::start(door).await?));
    }
    let vars = world::vars(world, region, |server| {
        let address = format!("{}:{}", server.host(), server.port());
        let proxy = proxies.iter().find(|(proxied, _)| proxied.region() == server.region());
        let through = proxy.map_or(address.clone(), |(_, proxy)| proxy.address.to_string());
        Ok(server.url().replace(&address, &through))
    })?;
    let running = Contender::Archipelago.start(&vars).await?;
    // Before its first request an instance opens few connections.
    let client = http::client().build()?;
    client.get(running.url("/users")).send().await?.error_for_status()?;
    Ok(Instance { region, place, proxies, running })
}

impl Instance<'_> {
    fn counts(&self) -> Vec<Counts> {
        self.proxies.iter().map(|(_, proxy)| proxy.counts()).collect()
    }
}

/// How much log the primary writes in this time, in bytes.
///
/// Computed from the median of several intervals, because autovacuum may write much in one of them.
async fn log_written(primary: &AdminSession, time: Duration) -> Result<f64, Failed> {
    let (mut written, mut before) = (Vec::new(), primary.log_position().await?);
    let intervals = u32::try_from(time.as_secs() / LOG_INTERVAL.as_secs())?.max(1);
    for _ in 0..intervals {
        sleep(time / intervals).await;
        let now = primary.log_position().await?;
        written.push(as_number(now - before));
        before = now;
    }
    Ok(median(written) * f64::from(intervals))
}

#[expect(clippy::cast_precision_loss, reason = "an idle instance sends fewer than 2^53 bytes")]
fn as_number(bytes: u64) -> f64 {
    bytes as f64
}

fn kib_per_hour(bytes: f64, time: Duration) -> f64 {
    bytes / 1024.0 * 3600.0 / time.as_secs_f64()
}

const COLUMNS: [Column; 4] = [
    Column::new("round_trip_ms", "ROUND TRIP ms", 0),
    Column::new("queries_per_second", "QUERIES/S", 2),
    Column::new("sent_kib_per_hour", "SENT KiB/H", 1),
    Column::new("received_kib_per_hour", "RECEIVED KiB/H", 1),
];

fn table(rows: &[Row], time: Duration) -> String {
    let mut table = FigureTable::new(&["INSTANCE", "SERVER"], 2, &COLUMNS);
    for Row { instance, server, round_trip, counts } in rows {
        let Counts { statements, sent, received } = *counts;
        let figures = Figures([
            milliseconds(*round_trip),
            as_number(statements) / time.as_secs_f64(),
            kib_per_hour(as_number(sent), time),
            kib_per_hour(as_number(received), time),
        ]);
        table.add([instance.clone(), server.clone()], &figures);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn each_server_has_a_row() {
        let counts = Counts { statements: 120, sent: 10 * 1024, received: 20 * 1024 };
        let row = Row {
            instance: "ord".to_owned(),
            server: "nrt".to_owned(),
            round_trip: Duration::from_millis(148),
            counts,
        };
        expect![[r#"
            INSTANCE  SERVER  ROUND TRIP ms  QUERIES/S  SENT KiB/H  RECEIVED KiB/H
            ord       nrt               148       2.00       600.0          1200.0
        "#]]
        .assert_eq(&table(&[row], Duration::from_mins(1)));
    }
}
