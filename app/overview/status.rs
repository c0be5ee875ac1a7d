//! One region, as this instance sees it: one object of `/regions.json`.

use archipelago::{Coordinates, DownReason, Health, Member, Reason, RegionSet, Role};
use serde::Serialize;

use super::down_reason::{advice, in_plain_words};
use crate::repos::Repos;

/// The primary's heartbeat and its commit take about 110 bytes of the log, each second.
const HEARTBEAT_BYTES: u64 = 512;
const HEARTBEAT_SECONDS: f64 = 2.0;

/// One object of `/regions.json`. It is public, so it has no host and no error of the database.
#[derive(Clone, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of its own for programs")]
pub(crate) struct RegionStatus {
    pub(crate) region: &'static str,
    pub(crate) place: Option<&'static str>,
    pub(crate) repo: &'static str,
    /// The role that the database reports; until its first answer, the role in regions.toml.
    pub(crate) role: &'static str,
    pub(crate) timeline: Option<u32>,
    /// Whether this instance sends its writes there.
    pub(crate) leads: bool,
    /// Whether this instance sends its reads there first.
    pub(crate) first_for_reads: bool,
    /// Whether it serves reads; none before its first answer.
    pub(crate) up: Option<bool>,
    pub(crate) why_down: Option<&'static str>,
    /// The same in one word, for programs.
    pub(crate) down_reason: Option<&'static str>,
    pub(crate) what_to_do: Option<&'static str>,
    pub(crate) down_seconds: Option<f64>,
    /// Upper bound of the replication lag; none for a primary, and if it is unknown.
    pub(crate) lag_seconds: Option<f64>,
    /// How much of the primary's log a replica had not replayed when it last answered.
    pub(crate) lag_bytes: Option<u64>,
    /// Whether the lag is more than `max_lag`, or unknown.
    pub(crate) lags: bool,
    pub(crate) round_trip_ms: Option<f64>,
    /// Up to where it shows every commit, as `PostgreSQL` writes it: `0/3000148`.
    pub(crate) lsn: Option<String>,
    /// The newest of this program's migrations that it has; none where that is unknown.
    pub(crate) schema: Option<String>,
    pub(crate) connections: u32,
    pub(crate) idle_connections: u32,
    /// Requests that wait for a connection.
    pub(crate) waiting: u32,
    pub(crate) pool_size: u32,
    /// What it has served this instance since the start.
    pub(crate) reads: ReadCounts,
    pub(crate) writes: u64,
    /// Requests that failed there, or found no connection.
    pub(crate) failures: u64,
    /// Whether it takes this instance's writes, and is not known to be silent.
    #[serde(skip)]
    pub(crate) takes_writes: bool,
    pub(crate) latitude: Option<f64>,
    pub(crate) longitude: Option<f64>,
}

/// Reads by the reason why this database served them.
#[derive(Clone, Copy, Default, Serialize)]
pub(crate) struct ReadCounts {
    pub(crate) local: u64,
    pub(crate) nearest: u64,
    pub(crate) fresher: u64,
    pub(crate) failover: u64,
    pub(crate) primary: u64,
}

/// A region's state at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Good,
    Behind,
    Down,
    Unknown,
}

impl RegionStatus {
    pub(super) fn new(
        member: &Member,
        leader: Option<&str>,
        first_for_reads: &str,
        migrations: &[String],
    ) -> Self {
        let (info, health, pool) = (member.info(), member.health(), member.state());
        let Health { up, down_reason, down_since, role, timeline, lag, round_trip, .. } = health;
        let role = role.unwrap_or(info.role);
        let is_replica = role == Role::Replica;
        let is_down = up == Some(false);
        // A primary has no lag.
        let lag = lag.filter(|_| is_replica);
        let is_lag_too_large = lag.is_none_or(|lag| lag > <Repos as RegionSet>::MAX_LAG);
        let coordinates = coordinates(info.region);
        let traffic = member.traffic();
        let reads = |reason| traffic.reads(reason);
        let down_reason = down_reason.as_ref().filter(|_| is_down);
        Self {
            region: info.code,
            place: info.place,
            repo: info.repo,
            role: role.as_str(),
            timeline,
            leads: Some(info.code) == leader,
            first_for_reads: info.code == first_for_reads,
            up,
            down_reason: down_reason.map(DownReason::label),
            why_down: down_reason.map(in_plain_words),
            what_to_do: down_reason.map(advice),
            down_seconds: down_since.filter(|_| is_down).map(|since| since.elapsed().as_secs_f64()),
            lag_seconds: lag.map(|lag| lag.as_secs_f64()),
            lag_bytes: health.lag_bytes.filter(|_| is_replica),
            lags: is_replica && round_trip.is_some() && is_lag_too_large,
            round_trip_ms: round_trip.map(|time| time.as_secs_f64() * 1000.0),
            lsn: health.lsn.map(|lsn| format!("{:X}/{:X}", lsn >> 32, lsn & 0xFFFF_FFFF)),
            schema: schema(up, down_reason, migrations),
            connections: pool.connections,
            idle_connections: pool.idle,
            waiting: pool.waiting,
            pool_size: pool.size,
            reads: ReadCounts {
                local: reads(Reason::Local),
                nearest: reads(Reason::Nearest),
                fresher: reads(Reason::Fresher),
                failover: reads(Reason::Failover),
                primary: reads(Reason::Primary),
            },
            writes: traffic.writes,
            failures: traffic.failures,
            takes_writes: Some(info.code) == leader
                && !down_reason.is_some_and(DownReason::is_silence),
            latitude: coordinates.map(|it| it.latitude),
            longitude: coordinates.map(|it| it.longitude),
        }
    }

    pub(crate) fn is_replica(&self) -> bool {
        self.role == Role::Replica.as_str()
    }

    /// Not idle. The two are counted one after the other.
    pub(crate) fn connections_in_use(&self) -> u32 {
        self.connections.saturating_sub(self.idle_connections)
    }

    /// Whether a replica had all that its primary had, when both were last asked: the time since then is
    /// no lag.
    pub(crate) fn has_everything(&self) -> bool {
        // A heartbeat that is on its way is no lag either.
        let is_new = self.lag_seconds.is_some_and(|lag| lag < HEARTBEAT_SECONDS);
        let has_all = self.lag_bytes == Some(0)
            || is_new && self.lag_bytes.is_some_and(|bytes| bytes <= HEARTBEAT_BYTES);
        has_all && self.state() == State::Good
    }

    pub(crate) fn state(&self) -> State {
        match (self.up, self.round_trip_ms) {
            (None, _) | (Some(true), None) => State::Unknown,
            (Some(false), _) => State::Down,
            (Some(true), Some(_)) if self.lags => State::Behind,
            (Some(true), Some(_)) => State::Good,
        }
    }
}

/// The newest migration that a database has, of those that this program needs.
fn schema(up: Option<bool>, reason: Option<&DownReason>, migrations: &[String]) -> Option<String> {
    match reason {
        Some(DownReason::SchemaTooOld { missing }) => {
            migrations.iter().rev().find(|version| !missing.contains(version)).cloned()
        }
        _ => migrations.last().filter(|_| up == Some(true)).cloned(),
    }
}

/// Where a place is.
pub(crate) fn coordinates(place: &str) -> Option<&'static Coordinates> {
    <Repos as RegionSet>::COORDINATES.iter().find(|it| it.place == place)
}

#[cfg(test)]
impl RegionStatus {
    /// A replica that is well.
    pub(crate) const UP: Self = Self {
        region: "ord",
        place: None,
        repo: "RepoOrd",
        role: "replica",
        timeline: Some(1),
        leads: false,
        first_for_reads: false,
        up: Some(true),
        why_down: None,
        down_reason: None,
        down_seconds: None,
        what_to_do: None,
        lag_seconds: Some(0.1),
        lag_bytes: Some(5),
        lags: false,
        round_trip_ms: Some(1.23),
        lsn: None,
        schema: None,
        connections: 1,
        idle_connections: 1,
        waiting: 0,
        pool_size: 10,
        reads: ReadCounts { local: 0, nearest: 0, fresher: 0, failover: 0, primary: 0 },
        writes: 0,
        failures: 0,
        takes_writes: false,
        latitude: None,
        longitude: None,
    };
}
