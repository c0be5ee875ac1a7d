//! `archipelago lab up`: a database and an instance of the app in every region, an edge in front of
//! them, and the distances of the real world between them, on this machine.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use archipelago::{RegionInfo, RegionSet};
use archipelago_edge::{Edge, Instance, STATUS_PATH};
use archipelago_lab::Distances;
use futures_util::future::join_all;

use super::map::Map;
use crate::console::{CommandError, print_status};
use crate::environment::{EnvOverrides, overlay, process_env};
use crate::local_databases::{LocalDatabases, distances, validate_before_start};
use crate::plain_table::{plain_table, trimmed};
use crate::repos::Repos;
use crate::server::{self, Running};
use crate::settings::Settings;
use crate::signals::ShutdownSignals;
use crate::{logging, metrics, migrations};

/// How far apart the regions are.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// A TOML file with round-trip times that replace those of the world's model, in lines such as
    /// `nrt = { ord = "128ms", syd = "137ms" }`.
    #[arg(long, value_name = "FILE")]
    distances: Option<PathBuf>,
    /// The round-trip time of one line, such as nrt:syd=137ms; wins over the file.
    #[arg(long = "line", value_name = "PLACE:PLACE=TIME", value_parser = parse_line)]
    lines: Vec<(String, String, Duration)>,
}

impl Options {
    fn distances(&self) -> Result<Distances, CommandError> {
        let mut distances = distances()?;
        if let Some(file) = &self.distances {
            distances = distances.with_file(file)?;
        }
        Ok(self
            .lines
            .iter()
            .fold(distances, |distances, (a, b, time)| distances.with_round_trip(a, b, *time)))
    }
}

/// Runs the lab until a signal comes.
pub(super) async fn up(options: &Options) -> Result<(), CommandError> {
    let settings = validate_before_start(overlay(quiet_log(), process_env))?;
    let distances = options.distances()?;
    let (_, listener) = server::listen(&settings, settings.port, "PORT")?;
    let _logging = logging::start(&settings)?;
    metrics::install_recorder()?;
    // Every instance, proxy and proxied connection is an open file.
    server::raise_open_files()?;
    print_status("Starting PostgreSQL under .lab/ …\n")?;
    let local = LocalDatabases::start(distances).await?;
    print_status(&migrations::report(&local.prepare().await?))?;
    let served = serve_until_signal(&local, &settings, listener).await;
    local.shutdown().await?;
    served
}

/// Only warnings, unless `RUST_LOG` is set: the default level would log every request of every
/// instance.
fn quiet_log() -> EnvOverrides {
    let is_default = process_env("RUST_LOG").is_err();
    is_default.then(|| ("RUST_LOG".to_owned(), "warn".to_owned())).into_iter().collect()
}

async fn serve_until_signal(
    local: &LocalDatabases,
    settings: &Settings,
    listener: TcpListener,
) -> Result<(), CommandError> {
    let mut signals = ShutdownSignals::listen()?;
    let mut instances = vec![];
    for info in Repos::REGIONS.iter().filter(|info| info.code == info.region) {
        let mut running = server::start(&instance_settings(local, info, settings)?)?;
        running.started().await?;
        instances.push((info, running));
    }
    let behind_edge = instances
        .iter()
        .map(|(info, running)| Instance { region: info.code.to_owned(), address: running.address });
    let map = Map::bind()?;
    let map_path = map.path();
    let edge = Edge::builder(local.world().links().clone(), behind_edge)
        .places(<Repos as RegionSet>::PLACES.iter().copied())
        .default_place(Repos::PRIMARY.code)
        .listener(listener)
        .tool("/_lab/", map.address())
        .start()
        .await?;
    let map = map.serve(edge.visits()).await?;
    // The edge is up: a closed standard output must not stop it.
    let address = edge.address();
    let _ = print_status(&format!(
        "{}\nOpen http://{address} and choose your place on Earth; http://{address}{STATUS_PATH} shows how each request was routed.\n\
         See each request travel, and break what you click: http://{address}{map_path}\n\
         In another terminal, `archipelago lab --help` shows how to cut lines, stop servers, and more. Stop with Ctrl-C.\n",
        instance_table(local, &instances),
    ));
    signals.recv().await;
    let shutdown = async {
        map.stop().await;
        // Those who watch /regions would keep the edge for as long.
        join_all(instances.iter().map(|(_, running)| running.drain(Duration::ZERO))).await;
        edge.shutdown().await;
        join_all(instances.into_iter().map(|(_, running)| running.stop())).await;
    };
    signals.shut_down(shutdown).await
}

/// The settings of the instance in one region. It listens on free ports. As on Fly, all instances
/// share one key. They share one process too, and so every metrics port shows the metrics of all.
fn instance_settings(
    local: &LocalDatabases,
    info: &RegionInfo,
    shared: &Settings,
) -> Result<Settings, CommandError> {
    let mut overrides = local.env_seen_from(info.code)?;
    overrides.extend(["PORT", "METRICS_PORT"].map(|port| (port.to_owned(), "0".to_owned())));
    let settings = Settings::from_vars(&overlay(overrides, process_env))?;
    Ok(Settings { keys: shared.keys.clone(), ..settings })
}

/// The address of every instance and database, and the round trip from there to the primary.
fn instance_table(local: &LocalDatabases, instances: &[(&RegionInfo, Running)]) -> String {
    let mut table =
        plain_table(["REGION", "PLACE", "APP", "DATABASE", "ROLE", "TO THE PRIMARY"], 5);
    let lines = local.world().links();
    for (info, running) in instances {
        let app = format!("http://{}", running.address);
        let database = local
            .world()
            .server(info.code)
            .map(|server| format!("{}:{}", server.host(), server.port()));
        let round_trip = if info.code == Repos::PRIMARY.code {
            String::new()
        } else {
            let round_trip = lines.round_trip(info.code, Repos::PRIMARY.code);
            format!("{:.0} ms", round_trip.as_secs_f64() * 1000.0)
        };
        table.add_row([
            info.code,
            info.place.unwrap_or("-"),
            &app,
            &database.unwrap_or_default(),
            info.role.as_str(),
            &round_trip,
        ]);
    }
    trimmed(&table)
}

/// The argument of `--line`: two places and the round-trip time between them.
fn parse_line(text: &str) -> Result<(String, String, Duration), String> {
    let parts =
        text.split_once('=').and_then(|(places, time)| Some((places.split_once(':')?, time)));
    let ((a, b), time) = parts.ok_or("write two places and a time, such as nrt:syd=137ms")?;
    let is_known = |place: &str| <Repos as RegionSet>::knows(place);
    match [a, b].into_iter().find(|place| !is_known(place)) {
        Some(place) => Err(format!("`{place}` is no place that regions.toml or Fly knows")),
        None => Ok((
            a.to_owned(),
            b.to_owned(),
            humantime::parse_duration(time).map_err(|error| error.to_string())?,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_two_known_places_and_a_time() {
        let home = Repos::PRIMARY.code;
        let line = format!("{home}:{home}=137ms");
        let time = Duration::from_millis(137);
        assert_eq!(parse_line(&line), Ok((home.to_owned(), home.to_owned(), time)));

        let form = "write two places and a time, such as nrt:syd=137ms";
        let unknown = "`atlantis` is no place that regions.toml or Fly knows";
        for (line, complaint) in [
            (String::new(), form),
            (format!("{home}=137ms"), form),
            (format!("{home}-{home}=137ms"), form),
            (format!("{home}:{home}"), form),
            (format!("atlantis:{home}=137ms"), unknown),
            (format!("{home}:atlantis=137ms"), unknown),
            (format!("{home}:{home}=soon"), "expected number at 0"),
        ] {
            assert_eq!(parse_line(&line), Err(complaint.to_owned()), "{line}");
        }
    }
}
