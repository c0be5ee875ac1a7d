//! The regions, as this instance sees them: for people at `/regions`, for programs at `/regions.json`. Asks no database: what its
//! monitor has found is told.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use archipelago::{DownReason, Health, Member, RegionSet, RepoSet, Role};
use serde::Serialize;

use super::Visit;
use crate::failure::Failure;
use crate::repos::Repos;
use crate::views::{RegionRow, RegionsPage, time};

/// GET `/regions`
pub(crate) async fn page(visit: Visit, repos: Data<Repos>) -> Result<HttpResponse, Failure> {
    let rows: Vec<_> = look(&repos).into_iter().map(RegionRow::from).collect();
    visit.page(StatusCode::OK, &RegionsPage { frame: visit.frame(), rows: &rows })
}

/// GET `/regions.json`
pub(crate) async fn json(repos: Data<Repos>) -> HttpResponse {
    HttpResponse::Ok().json(look(&repos))
}

/// One region. No host and no error of the database's: the page is public.
#[derive(Serialize)]
struct Seen {
    region: &'static str,
    place: Option<&'static str>,
    repo: &'static str,
    /// What the database says that it is; before it was asked, what regions.toml says.
    role: &'static str,
    timeline: Option<u32>,
    /// Whether it takes the writes.
    leads: bool,
    /// Whether this instance's reads go to it first.
    first_for_reads: bool,
    /// Whether it serves; none where this instance does not watch it.
    up: Option<bool>,
    why_down: Option<&'static str>,
    down_seconds: Option<f64>,
    /// At the most; none for a primary, and where nobody can tell.
    lag_seconds: Option<f64>,
    /// Whether that is too far for a read that does not allow it, or might be.
    lags: bool,
    round_trip_ms: Option<f64>,
    connections: u32,
    pool_size: u32,
}

fn look(repos: &Repos) -> Vec<Seen> {
    let (leader, first) = (repos.leader(), repos.replica().served_by().region);
    repos.members().map(|member| Seen::of(member, leader, first)).collect()
}

impl Seen {
    fn of(member: &Member, leader: &Member, first: &str) -> Self {
        let (info, Health { up, down_reason, down_since, role, timeline, lag, round_trip, .. }) =
            (member.info(), member.health());
        let leads = info.code == leader.info().code;
        let role = role.unwrap_or(info.role);
        let is_replica = role == Role::Replica;
        // A primary shows everything that it has committed.
        let lag = lag.filter(|_| is_replica);
        let pools = [Some(member.reading()), leads.then(|| member.writing())]
            .map(|pool| pool.map(archipelago::Pool::state));
        Self {
            region: info.code,
            place: info.place,
            repo: info.repo,
            role: role.as_str(),
            timeline,
            leads,
            first_for_reads: info.code == first,
            up,
            why_down: down_reason
                .filter(|_| up == Some(false))
                .map(|reason| in_plain_words(&reason)),
            down_seconds: down_since
                .filter(|_| up == Some(false))
                .map(|since| since.elapsed().as_secs_f64()),
            lag_seconds: lag.map(|lag| lag.as_secs_f64()),
            lags: is_replica
                && round_trip.is_some()
                && lag.is_none_or(|lag| lag > <Repos as RegionSet>::MAX_LAG),
            round_trip_ms: round_trip.map(|time| time.as_secs_f64() * 1000.0),
            connections: member.state().connections,
            pool_size: pools.iter().flatten().map(|pool| pool.size).sum(),
        }
    }

    /// How it is, and whether that is well.
    fn state(&self) -> (String, Option<bool>) {
        match (self.up, self.round_trip_ms) {
            (None, _) => ("not watched by this instance".to_owned(), None),
            (Some(false), _) => {
                let since = self.down_seconds.map(|seconds| time(Duration::from_secs_f64(seconds)));
                let (since, why) =
                    (since.unwrap_or_default(), self.why_down.unwrap_or("it cannot be reached"));
                (format!("down for {since}: {why}"), Some(false))
            }
            (Some(true), None) => ("not asked yet".to_owned(), None),
            (Some(true), _) if self.lags => {
                let known = self.lag_seconds.map(|_| "up, and too far behind for most reads");
                (
                    known
                        .unwrap_or("up, and nobody can tell how far behind: no use for most reads")
                        .to_owned(),
                    Some(false),
                )
            }
            (Some(true), Some(milliseconds)) => {
                (format!("up, answers in {milliseconds:.1} ms"), Some(true))
            }
        }
    }
}

impl From<Seen> for RegionRow {
    fn from(seen: Seen) -> Self {
        let (state, ok) = seen.state();
        Self {
            region: seen.region,
            place: seen.place.unwrap_or_default(),
            repo: seen.repo,
            role: seen.role,
            timeline: seen.timeline,
            state,
            ok,
            lag: seen.lag_seconds.map(|seconds| time(Duration::from_secs_f64(seconds))),
            connections: seen.connections,
            size: seen.pool_size,
            first_for_reads: seen.first_for_reads,
            leads: seen.leads,
        }
    }
}

/// A reason in words for visitors: without hosts, and without what a server says to its operators.
fn in_plain_words(reason: &DownReason) -> &'static str {
    match reason {
        DownReason::SchemaTooOld { .. } => "its tables are older than this program needs",
        DownReason::Superseded => "another one was promoted in its place",
        DownReason::Silent { .. } => "it does not answer",
        DownReason::Refused { sqlstate: Some(code), .. } => match code.as_str() {
            "57P03" => "it is starting, or shutting down",
            "28000" | "28P01" => "it does not let this program in",
            _ => "it cannot be reached",
        },
        _ => "it cannot be reached",
    }
}
