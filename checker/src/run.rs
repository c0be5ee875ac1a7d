//! One round: visitors and faults for a while, then everything is healed, and what is left is looked at.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_postgres::NoTls;

use crate::Failed;
use crate::check::{Verdict, check};
use crate::client::{Manner, Site, Visitor};
use crate::deployment::{Rules, Stage, regions};
use crate::history::History;
use crate::history::timelines::Timelines;
use crate::nemesis::schedule::Schedule;
use crate::nemesis::{Log, perform, settle};
use crate::observer::{observe, stalls};
use crate::workload::register::Row;

/// What a round is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of the visitors' whims.
    pub seed: u64,
    /// What happens to the world.
    pub schedule: Schedule,
    /// For how long all is well at the end: the recovery from the last fault is part of the round.
    pub quiet: Duration,
    /// How many visit at once.
    pub visitors: u32,
    /// How they do.
    pub manner: Manner,
    /// How the instances are set.
    pub rules: Rules,
}

/// What a round was.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// Everything that happened.
    pub history: History,
    /// What of that should not have.
    pub verdict: Verdict,
}

impl Round {
    /// Every violation with the lines of its operations.
    #[must_use]
    pub fn violations(&self) -> String {
        self.verdict
            .violations
            .iter()
            .map(|violation| self.history.explain(violation) + "\n")
            .collect()
    }
}

impl Plan {
    /// Plays a round, on servers of its own.
    ///
    /// # Errors
    /// When the lab cannot do what is planned: then the round says nothing.
    pub async fn play(&self) -> Result<Round, Failed> {
        // The choice of a TLS provider is the program's, even where nobody encrypts; an earlier one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let stage = Stage::start(self.rules).await?;
        let played = self.on(&stage).await;
        let stopped = stage.stop().await;
        let history = played?;
        stopped?;
        Ok(Round { verdict: check(&history), history })
    }

    async fn on(&self, stage: &Stage) -> Result<History, Failed> {
        let (end, told) = watch::channel(false);
        let all: Vec<String> = regions().into_iter().map(str::to_owned).collect();
        let site = Arc::new(Site {
            url: stage.url(),
            regions: all.clone(),
            manner: self.manner,
            began: Instant::now(),
            known: Mutex::default(),
            end: told,
        });
        let visits = (1..=self.visitors)
            .map(|id| Ok(tokio::spawn(Visitor::new(id, self.seed, &site)?.visit())));
        let visits = visits.collect::<Result<Vec<_>, Failed>>()?;
        let performed = async {
            let performed = perform(stage, &self.schedule, site.began).await;
            if performed.is_ok() {
                sleep(self.quiet).await;
            }
            end.send_replace(true);
            performed
        };
        let clock = tokio::spawn(stalls(site.began, site.end.clone()));
        let (performed, samples) =
            tokio::join!(performed, observe(&stage.world, site.began, site.end.clone()));
        let stalls = clock.await?;
        let mut operations = Vec::new();
        for visit in join_all(visits).await {
            operations.extend(visit?);
        }
        operations.sort_by_key(|operation| operation.start);
        let Log { faults, promotions } = performed?;
        settle(stage).await?;
        let primary = stage.world.primary();
        let rows = primary.client().await?.query("SELECT name FROM users ORDER BY id", &[]).await?;
        let left = rows.iter().filter_map(|row| Row::parse(row.get(0))).collect();
        let newest = primary.timeline().await?;
        let timelines =
            Timelines::of_file(newest, &forks(&primary.admin_url(), newest).await?, promotions);
        let first_primary = all.first().cloned().unwrap_or_default();
        let max_lag = self.rules.max_lag;
        Ok(History {
            operations,
            faults,
            samples,
            stalls,
            timelines,
            first_primary,
            regions: all,
            left,
            max_lag,
        })
    }
}

/// Where the timelines before this one ended, in `PostgreSQL`'s own words. The first one has none before it.
async fn forks(url: &str, timeline: u32) -> Result<String, Failed> {
    if timeline == 1 {
        return Ok(String::new());
    }
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    let file = format!("pg_wal/{timeline:08X}.history");
    Ok(client.query_one("SELECT pg_read_file($1)", &[&file]).await?.get(0))
}

/// Of the rounds: shorter than many of their pauses and lags, so that reads have to leave a replica, and longer than the second between
/// two looks at a server.
pub const MAX_LAG: Duration = Duration::from_secs(2);
