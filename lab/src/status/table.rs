//! A status as a table for people.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use crate::status::{LinkStatus, ServerState, ServerStatus, Status};

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut servers =
            plain(["REGION", "ROLE", "STATE", "TIMELINE", "POSITION", "LAG", "FOLLOWS", "PORT"]);
        for server in &self.servers {
            servers.add_row(cells(server));
        }
        f.write_str(&trimmed(&servers))?;
        if self.links.is_empty() {
            return Ok(());
        }
        write!(f, "\n\n{}", trimmed(&self.distances()))
    }
}

impl Status {
    /// A column for each server, and a row for each place that it has a link to.
    fn distances(&self) -> Table {
        let regions: Vec<&str> = self.servers.iter().map(|server| &*server.region).collect();
        let others = self
            .links
            .iter()
            .flat_map(|link| [&*link.a, &*link.b])
            .filter(|place| !regions.contains(place));
        let others: BTreeSet<_> = others.collect();
        let mut table = plain([&["LINKS"], &*regions].concat());
        for place in regions.iter().copied().chain(others) {
            let link = |region: &&str| {
                self.links
                    .iter()
                    .find(|link| link.joins(place, region))
                    .map_or_else(String::new, condition)
            };
            table.add_row(std::iter::once(place.to_owned()).chain(regions.iter().map(link)));
        }
        table
    }
}

impl LinkStatus {
    fn joins(&self, a: &str, b: &str) -> bool {
        [(a, b), (b, a)].contains(&(&self.a, &self.b))
    }
}

fn cells(server: &ServerStatus) -> [String; 8] {
    let told = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    [
        server.region.clone(),
        server.role.to_string(),
        server.state.to_string(),
        told(server.timeline.map(|timeline| timeline.to_string())),
        told(server.written.or(server.replayed).map(|position| position.to_string())),
        lag(server),
        told(server.follows.as_ref().map(|region| match (server.state, server.streaming) {
            (ServerState::Running, false) => format!("{region} (not connected)"),
            _ => region.clone(),
        })),
        server.port.to_string(),
    ]
}

/// `0 B`, or `4096 B, 1.2 s`, and what delays the replica if the lab does.
fn lag(server: &ServerStatus) -> String {
    let mut parts = Vec::new();
    match (server.lag_bytes, server.lag_seconds) {
        (None, _) => parts.push("-".to_owned()),
        (Some(bytes), Some(seconds)) if bytes > 0 => {
            parts.push(format!("{bytes} B, {seconds:.1} s"));
        }
        (Some(bytes), _) => parts.push(format!("{bytes} B")),
    }
    if server.replay_paused {
        parts.push("(paused)".to_owned());
    }
    if server.apply_delay_ms > 0 {
        parts.push(format!("(held back for {:?})", Duration::from_millis(server.apply_delay_ms)));
    }
    parts.join(" ")
}

/// `148 ms`, and whether the link was cut or slowed.
fn condition(link: &LinkStatus) -> String {
    match (link.cut, link.slowed) {
        (true, _) => "cut".to_owned(),
        (false, true) => format!("{:.0} ms (slowed)", link.round_trip_ms),
        (false, false) => format!("{:.0} ms", link.round_trip_ms),
    }
}

impl fmt::Display for ServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Frozen => "frozen",
            Self::Stopped => "stopped",
            Self::Silent => "silent",
        })
    }
}

fn plain<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header.into_iter().collect::<Vec<_>>());
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// Without the spaces that fill the last column.
fn trimmed(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
