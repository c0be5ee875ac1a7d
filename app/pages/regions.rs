//! The regions, as this instance sees them: for people at `/regions`, for programs at `/regions.json`.

use std::time::Instant;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use archipelago::{Access, RegionInfo, RepoSet};
use futures_util::future::join_all;
use serde::Serialize;

use super::Visit;
use crate::failure::Failure;
use crate::repos::Repos;
use crate::views::{RegionRow, RegionsPage};

/// GET `/regions`
pub(crate) async fn page(visit: Visit, repos: Data<Repos>) -> Result<HttpResponse, Failure> {
    let regions = look(&repos).await;
    let states: Vec<_> = regions.iter().map(Seen::state).collect();
    let rows: Vec<_> = regions.iter().zip(&states).map(|(seen, state)| seen.row(state)).collect();
    visit.page(StatusCode::OK, &RegionsPage { frame: visit.frame(), rows: &rows })
}

/// GET `/regions.json`
pub(crate) async fn json(repos: Data<Repos>) -> HttpResponse {
    HttpResponse::Ok().json(look(&repos).await)
}

/// One region. No host and no error of the database's: the page is public.
#[derive(Serialize)]
struct Seen {
    region: &'static str,
    place: Option<&'static str>,
    repo: &'static str,
    role: &'static str,
    serves_reads_here: bool,
    /// Whether it answered just now; none where this instance does not use it, since looking must not open a pool.
    reachable: Option<bool>,
    milliseconds: Option<f64>,
    connections: u32,
    pool_size: u32,
}

async fn look(repos: &Repos) -> Vec<Seen> {
    let own = repos.replica().served_by().region;
    join_all(Repos::REGIONS.iter().map(|info| Seen::ask(repos, info, own))).await
}

impl Seen {
    async fn ask(repos: &Repos, info: &'static RegionInfo, own: &str) -> Self {
        let pools: Vec<_> = repos.pools().filter(|pool| pool.info().code == info.code).collect();
        let used = pools.iter().find(|pool| pool.state().connections > 0 || info.code == own || pool.access() == Access::Write);
        let start = Instant::now();
        let reachable = match used {
            Some(pool) => Some(pool.ping().await.is_ok()),
            None => None,
        };
        let milliseconds = reachable.filter(|reachable| *reachable).map(|_| start.elapsed().as_secs_f64() * 1000.0);
        Self {
            region: info.code,
            place: info.place,
            repo: info.repo,
            role: info.role.as_str(),
            serves_reads_here: info.code == own,
            reachable,
            milliseconds,
            connections: pools.iter().map(|pool| pool.state().connections).sum(),
            pool_size: pools.iter().map(|pool| pool.state().size).sum(),
        }
    }

    fn state(&self) -> String {
        match (self.reachable, self.milliseconds) {
            (None, _) => "not used by this instance".to_owned(),
            (_, Some(milliseconds)) => format!("reachable in {milliseconds:.1} ms"),
            (Some(_), None) => "cannot be reached".to_owned(),
        }
    }

    fn row<'a>(&self, state: &'a str) -> RegionRow<'a> {
        RegionRow {
            region: self.region,
            place: self.place.unwrap_or_default(),
            repo: self.repo,
            role: self.role,
            state,
            ok: self.reachable,
            connections: self.connections,
            size: self.pool_size,
            serves_reads_here: self.serves_reads_here,
        }
    }
}
