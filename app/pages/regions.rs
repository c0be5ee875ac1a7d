//! The regions as this instance sees them: for people at `/regions`, for programs at
//! `/regions.json`.
//!
//! It queries no database: it shows what the monitor has found.

mod down_reason;

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use archipelago::{DownReason, Health, Member, RegionSet, RepoSet, Role};
use serde::Serialize;

use self::down_reason::{UNKNOWN, in_plain_words};
use super::PageContext;
use crate::failure::Failure;
use crate::repos::{Repos, leading_region};
use crate::views::{RegionRow, RegionsPage, human_time};

/// GET `/regions`
pub(crate) async fn page(
    context: PageContext,
    repos: Data<Repos>,
) -> Result<HttpResponse, Failure> {
    let rows: Vec<_> = region_statuses(&repos).into_iter().map(RegionRow::from).collect();
    context.render(StatusCode::OK, &RegionsPage { layout: context.layout(), rows: &rows })
}

/// GET `/regions.json`
pub(crate) async fn json(repos: Data<Repos>) -> HttpResponse {
    HttpResponse::Ok().json(region_statuses(&repos))
}

fn region_statuses(repos: &Repos) -> Vec<RegionStatus> {
    let leader = leading_region(repos);
    let first_for_reads = repos.replica().served_by().region;
    repos.members().map(|member| RegionStatus::new(member, leader, first_for_reads)).collect()
}

/// One region in `/regions.json`. The page is public, so it has no host and no error of the
/// database.
#[derive(Serialize)]
struct RegionStatus {
    region: &'static str,
    place: Option<&'static str>,
    repo: &'static str,
    /// The role that the database reports; until its first answer, the role in regions.toml.
    role: &'static str,
    timeline: Option<u32>,
    /// Whether this instance sends its writes there.
    leads: bool,
    /// Whether this instance sends its reads there first.
    first_for_reads: bool,
    /// Whether it serves reads; none before its first answer.
    up: Option<bool>,
    why_down: Option<&'static str>,
    /// The same in one word, for programs.
    down_reason: Option<&'static str>,
    down_seconds: Option<f64>,
    /// Upper bound of the replication lag; none for a primary, and if it is unknown.
    lag_seconds: Option<f64>,
    /// Whether the lag is more than `max_lag`, or unknown.
    lags: bool,
    round_trip_ms: Option<f64>,
    connections: u32,
    pool_size: u32,
}

impl RegionStatus {
    fn new(member: &Member, leader: Option<&str>, first_for_reads: &str) -> Self {
        let (info, health) = (member.info(), member.health());
        let Health { up, down_reason, down_since, role, timeline, lag, round_trip, .. } = health;
        let leads = Some(info.code) == leader;
        let role = role.unwrap_or(info.role);
        let is_replica = role == Role::Replica;
        let is_down = up == Some(false);
        // A primary has no lag.
        let lag = lag.filter(|_| is_replica);
        let is_lag_too_large = lag.is_none_or(|lag| lag > <Repos as RegionSet>::MAX_LAG);
        Self {
            region: info.code,
            place: info.place,
            repo: info.repo,
            role: role.as_str(),
            timeline,
            leads,
            first_for_reads: info.code == first_for_reads,
            up,
            down_reason: down_reason.as_ref().filter(|_| is_down).map(DownReason::label),
            why_down: down_reason.filter(|_| is_down).map(|reason| in_plain_words(&reason)),
            down_seconds: down_since.filter(|_| is_down).map(|since| since.elapsed().as_secs_f64()),
            lag_seconds: lag.map(|lag| lag.as_secs_f64()),
            lags: is_replica && round_trip.is_some() && is_lag_too_large,
            round_trip_ms: round_trip.map(|time| time.as_secs_f64() * 1000.0),
            connections: member.state().connections,
            pool_size: member.reading().state().size,
        }
    }

    /// The state in words, and whether it is good; none if it is unknown.
    fn state(&self) -> (String, Option<bool>) {
        match (self.up, self.round_trip_ms) {
            (None, _) | (Some(true), None) => ("not asked yet".to_owned(), None),
            (Some(false), _) => {
                let time =
                    |seconds| format!(" for {}", human_time(Duration::from_secs_f64(seconds)));
                let time = self.down_seconds.map(time).unwrap_or_default();
                let reason = self.why_down.unwrap_or(UNKNOWN);
                (format!("down{time}: {reason}"), Some(false))
            }
            (Some(true), Some(_)) if self.lags => {
                let lag = if self.lag_seconds.is_some() { "too far behind" } else { "lag unknown" };
                (format!("up, {lag}: not used for most reads"), Some(false))
            }
            (Some(true), Some(milliseconds)) => {
                (format!("up, answers in {milliseconds:.1} ms"), Some(true))
            }
        }
    }
}

impl From<RegionStatus> for RegionRow {
    fn from(status: RegionStatus) -> Self {
        let (state, is_good) = status.state();
        Self {
            region: status.region,
            place: status.place.unwrap_or_default(),
            repo: status.repo,
            role: status.role,
            timeline: status.timeline,
            state,
            is_good,
            lag: status.lag_seconds.map(|seconds| human_time(Duration::from_secs_f64(seconds))),
            connections: status.connections,
            pool_size: status.pool_size,
            first_for_reads: status.first_for_reads,
            takes_writes: status.leads,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: RegionStatus = RegionStatus {
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
        lag_seconds: Some(0.1),
        lags: false,
        round_trip_ms: Some(1.23),
        connections: 1,
        pool_size: 10,
    };

    #[test]
    fn the_state_in_words() {
        let down = RegionStatus { up: Some(false), down_seconds: Some(12.0), ..UP };
        for (status, words, is_good) in [
            (UP, "up, answers in 1.2 ms", Some(true)),
            (
                RegionStatus { lags: true, ..UP },
                "up, too far behind: not used for most reads",
                Some(false),
            ),
            (
                RegionStatus { lags: true, lag_seconds: None, ..UP },
                "up, lag unknown: not used for most reads",
                Some(false),
            ),
            (RegionStatus { round_trip_ms: None, ..UP }, "not asked yet", None),
            (RegionStatus { up: None, ..UP }, "not asked yet", None),
            (
                RegionStatus { why_down: Some("it does not answer"), ..down },
                "down for 12 seconds: it does not answer",
                Some(false),
            ),
            (RegionStatus { up: Some(false), ..UP }, "down: it cannot be reached", Some(false)),
        ] {
            assert_eq!(status.state(), (words.to_owned(), is_good));
        }
    }
}
