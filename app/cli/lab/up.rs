//! `archipelago lab up`: every region on this machine, as far apart as in the world: its database, an instance of the app, and the
//! edge in front of them all.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use archipelago::{RegionInfo, RepoSet};
use archipelago_edge::{Edge, Instance, PATH};
use archipelago_lab::Distances;
use futures_util::future::join_all;

use crate::cli::serve::{begin_log, settings};
use crate::cli::signals::Signals;
use crate::cli::{Failed, env, report, say};
use crate::local::{self, Local, rehearsal, with};
use crate::metrics;
use crate::plain_table::{plain_table, trimmed};
use crate::repos::Repos;
use crate::server::{self, Running};
use crate::settings::Settings;

/// How far apart the regions are.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// A TOML file with round-trip times which differ from the model of the world, in lines such as
    /// `nrt = { ord = "128ms", syd = "137ms" }`.
    #[arg(long, value_name = "FILE")]
    distances: Option<PathBuf>,
    /// The round-trip time of one line, such as nrt:syd=137ms; wins over the file.
    #[arg(long = "line", value_name = "PLACE:PLACE=TIME", value_parser = line)]
    lines: Vec<(String, String, Duration)>,
}

/// Runs the world until a signal comes.
///
/// # Errors
/// What to print before the program ends with status 1.
pub async fn up(options: &Options) -> Result<(), Failed> {
    // What is wrong is said before anything is started. Every request to every instance would be too much to read.
    let quiet = env("RUST_LOG").is_err().then(|| ("RUST_LOG".to_owned(), "warn".to_owned()));
    let settings = settings(&with(quiet.into_iter().collect(), rehearsal(env)))?;
    let distances = options.distances()?;
    let (_, listener) = server::listen(&settings, settings.port, "PORT")?;
    begin_log(&settings)?;
    metrics::record()?;
    // Instances, doors and the connections through them take more files than some systems give at first.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "cannot raise the number of open files");
    }
    say("Starting PostgreSQL under .lab/ …\n")?;
    let local = Local::start(distances).await?;
    report(&local.prepare().await?)?;
    let served = until_told(&local, &settings, listener).await;
    local.stop().await?;
    served
}

impl Options {
    fn distances(&self) -> Result<Distances, Failed> {
        let mut distances = local::distances()?;
        if let Some(file) = &self.distances {
            distances = distances.with_file(file)?;
        }
        Ok(self
            .lines
            .iter()
            .fold(distances, |distances, (a, b, time)| distances.with_round_trip(a, b, *time)))
    }
}

async fn until_told(
    local: &Local,
    settings: &Settings,
    listener: TcpListener,
) -> Result<(), Failed> {
    let mut signals = Signals::heard()?;
    let started = |info| -> Result<_, Failed> {
        Ok((info, server::start(&instance(local, info, settings)?)?))
    };
    let instances = Repos::REGIONS.iter().map(started).collect::<Result<Vec<_>, _>>()?;
    let behind = instances
        .iter()
        .map(|(info, running)| Instance { region: info.code.to_owned(), address: running.address });
    let edge = Edge::builder(local.world().links().clone(), behind)
        .places(<Repos as RepoSet>::PLACES.iter().copied())
        .default_place(Repos::PRIMARY.code)
        .listener(listener)
        .start()
        .await?;
    // From here on it serves, whether or not anybody reads what it prints.
    let address = edge.address();
    let _ = say(&format!(
        "{}\nOpen http://{address} and choose where on Earth to stand; http://{address}{PATH} tells what became of each request.\n\
         In another terminal `archipelago lab --help` cuts lines, stops servers, and more. Stop with Ctrl-C.\n",
        table(local, &instances),
    ));
    signals.next().await;
    let end = async {
        edge.shutdown().await;
        join_all(instances.into_iter().map(|(_, running)| running.stop())).await;
    };
    signals.finish(end).await
}

/// The settings of the instance in a region: ports of its own, and the key that all share, as on Fly. Its metrics are those of all
/// instances, as they are one process, so nobody is told where they are.
fn instance(local: &Local, info: &RegionInfo, shared: &Settings) -> Result<Settings, Failed> {
    let mut own = local.seen_from(info.code)?;
    own.extend(["PORT", "METRICS_PORT"].map(|port| (port.to_owned(), "0".to_owned())));
    let mut settings = settings(&with(own, env))?;
    settings.key = shared.key.clone();
    Ok(settings)
}

/// What runs where.
fn table(local: &Local, instances: &[(&RegionInfo, Running)]) -> String {
    let mut table =
        plain_table(["REGION", "PLACE", "APP", "DATABASE", "ROLE", "TO THE PRIMARY"], 5);
    let lines = local.world().links();
    for (info, running) in instances {
        let app = format!("http://{}", running.address);
        let database = local
            .world()
            .server(info.code)
            .map(|server| format!("{}:{}", server.host(), server.port()));
        let away = lines.round_trip(info.code, Repos::PRIMARY.code).as_secs_f64() * 1000.0;
        let away =
            if info.code == Repos::PRIMARY.code { String::new() } else { format!("{away:.0} ms") };
        table.add_row([
            info.code,
            info.place.unwrap_or("-"),
            &app,
            &database.unwrap_or_default(),
            info.role.as_str(),
            &away,
        ]);
    }
    trimmed(&table)
}

fn line(text: &str) -> Result<(String, String, Duration), String> {
    let parts =
        text.split_once('=').and_then(|(places, time)| Some((places.split_once(':')?, time)));
    let ((a, b), time) = parts.ok_or("write two places and a time, such as nrt:syd=137ms")?;
    let known = |place: &str| <Repos as RepoSet>::knows(place);
    match [a, b].into_iter().find(|place| !known(place)) {
        Some(place) => Err(format!("`{place}` is no place that regions.toml or Fly knows")),
        None => Ok((
            a.to_owned(),
            b.to_owned(),
            humantime::parse_duration(time).map_err(|error| error.to_string())?,
        )),
    }
}
