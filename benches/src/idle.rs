//! `idle`: what an instance costs that nobody asks, by how it watches the databases.

use std::time::Duration;

use archipelago_app::plain_table::{plain_table, trimmed};
use archipelago_lab::World;
use clap::Args;
use tokio::time::sleep;

use crate::Failed;
use crate::child::Running;
use crate::contenders::{Contender, replica_region};
use crate::counter::{Counted, Counter};
use crate::databases::Watched;
use crate::far::{self, INSTANCE};

/// How to measure.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// For how long, in seconds: first without the instance, then with it.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

const USERS: u32 = 1000;

/// For the instance to open its connections, over long lines.
const WARM_UP: Duration = Duration::from_secs(10);

/// What one region's server was asked.
struct Row {
    region: String,
    round_trip: Duration,
    /// Connections of the instance at the end.
    open: i64,
    /// While it was measured.
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
    let time = Duration::from_secs(options.seconds);
    let primary = Watched::new(world.primary()).await?;
    let alone = written(&primary, time).await?;
    let mut counters = Vec::new();
    for server in world.servers() {
        let door = world.lines().door(INSTANCE, server.region(), (server.host(), server.port()).into())?;
        counters.push((server, Counter::before(door).await?));
    }
    let vars = far::vars(world, |server| {
        let address = format!("{}:{}", server.host(), server.port());
        let counter = counters.iter().find(|(counted, _)| counted.region() == server.region());
        let counter = counter.map_or(address.clone(), |(_, counter)| counter.address.to_string());
        Ok(server.url().replace(&address, &counter))
    })?;
    let running = Running::start(&["serve", Contender::Archipelago.name()], &vars).await?;
    sleep(WARM_UP).await;
    let before: Vec<_> = counters.iter().map(|(_, counter)| counter.counted()).collect();
    let with = written(&primary, time).await?;
    let mut rows = Vec::new();
    for ((server, counter), before) in counters.iter().zip(before) {
        let (region, round_trip) = (server.region().to_owned(), world.lines().round_trip(INSTANCE, server.region()));
        let counted = counter.counted().since(before);
        rows.push(Row { region, round_trip, open: Watched::new(server).await?.connections().await?, counted });
    }
    running.stop().await?;
    println!(
        "An instance in {} that nobody asks, for {} s: what goes between it and each server, without the bytes of TCP and IP.\n",
        replica_region(),
        options.seconds
    );
    print!("{}", table(&rows, time));
    let [alone, with] = [alone, with].map(|bytes| per_hour(bytes, time));
    println!("\nThe primary writes {with:.1} KiB of log an hour, which goes to each replica; without the instance {alone:.1}.");
    Ok(())
}

/// The log that the primary writes in this time, in bytes.
async fn written(primary: &Watched, time: Duration) -> Result<u64, Failed> {
    let before = primary.log_position().await?;
    sleep(time).await;
    Ok(primary.log_position().await? - before)
}

/// In KiB.
#[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^53 bytes")]
fn per_hour(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / 1024.0 * 3600.0 / time.as_secs_f64()
}

fn table(rows: &[Row], time: Duration) -> String {
    let header = ["REGION", "AWAY ms", "CONNECTIONS", "OPENED", "QUERIES/S", "SENT KiB/H", "RECEIVED KiB/H"];
    let mut table = plain_table(header, 1);
    for Row { region, round_trip, open, counted } in rows {
        let Counted { connections, statements, sent, received } = *counted;
        #[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^53 queries")]
        let statements = statements as f64 / time.as_secs_f64();
        table.add_row([
            region.clone(),
            format!("{:.0}", round_trip.as_secs_f64() * 1000.0),
            open.to_string(),
            connections.to_string(),
            format!("{statements:.2}"),
            format!("{:.1}", per_hour(sent, time)),
            format!("{:.1}", per_hour(received, time)),
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
        let counted = Counted { connections: 0, statements: 120, sent: 10 * 1024, received: 20 * 1024 };
        let row = Row { region: "nrt".to_owned(), round_trip: Duration::from_millis(148), open: 2, counted };
        expect![[r#"
            REGION  AWAY ms  CONNECTIONS  OPENED  QUERIES/S  SENT KiB/H  RECEIVED KiB/H
            nrt         148            2       0       2.00       600.0          1200.0
        "#]]
        .assert_eq(&table(&[row], Duration::from_mins(1)));
    }
}
