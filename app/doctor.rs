//! `archipelago doctor`: looks at each region from where it runs, and says what is wrong and what to do.
//!
//! It asks what an instance asks, with an instance's settings, and changes nothing.

mod checks;
mod database;
mod finding;
mod network;

use std::time::{Duration, Instant};

use archipelago::{RegionInfo, RepoSet};
use clap::Args;
use diesel::dsl::{select, sql};
use diesel::sql_types::Bool;
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use self::checks::{Seen, check, program};
use self::database::{ask, ask_by_a_read};
use self::finding::{Finding, Lines, Verdict, json, text};
use crate::console::{CommandError, print_status};
use crate::environment::Vars;
use crate::migrations;
use crate::repos::Repos;
use crate::settings::Settings;

/// How long one answer may take. A server across the world answers within a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// Until the monitor has asked each server once more: what a replica said before its primary was asked is
/// compared with that only then.
const NEXT_ROUND: Duration = Duration::from_millis(1500);

/// How often it looks whether the monitor has judged all servers.
const LOOK: Duration = Duration::from_millis(50);

/// What to print.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Print JSON: a list of objects with `region`, `check`, `verdict` and `text`.
    #[arg(long)]
    json: bool,
}

/// What `archipelago doctor --help` says besides.
pub(crate) const NOTES: &str = "\
It takes the settings of an instance from the environment: run it on the machine of one, as the user
of one. Without DATABASE_URL it looks at the databases of a lab that runs under .lab/.

Exit status: 0 if nothing failed, 1 if something did. A warning is no failure.";

/// Why the command fails.
#[derive(Debug, thiserror::Error)]
#[error("{failed} of {all} checks failed")]
struct Failed {
    failed: usize,
    all: usize,
}

/// Looks, prints, and fails if a check failed.
pub(crate) async fn run(options: &Options, vars: impl Vars + Copy) -> Result<(), CommandError> {
    let findings = findings(vars).await?;
    print_status(&if options.json { json(&findings)? } else { text(&findings) })?;
    let failed = findings.iter().filter(|finding| finding.verdict == Verdict::Failed).count();
    if failed > 0 {
        return Err(Failed { failed, all: findings.len() }.into());
    }
    Ok(())
}

#[cfg(feature = "lab")]
async fn findings(vars: impl Vars + Copy) -> Result<Vec<Finding>, CommandError> {
    use crate::environment::{is_set, overlay};
    use crate::local_databases::LocalDatabases;

    if LocalDatabases::are_wanted(&vars) {
        let region = if is_set(&vars, "FLY_REGION") { vars("FLY_REGION")? } else { String::new() };
        let from = if region.is_empty() { LocalDatabases::default_region() } else { &region };
        if let Some(lab) = LocalDatabases::env_of_running_lab(from).await? {
            return Ok(look(&overlay(lab, vars)).await);
        }
    }
    Ok(look(&vars).await)
}

#[cfg(not(feature = "lab"))]
async fn findings(vars: impl Vars + Copy) -> Result<Vec<Finding>, CommandError> {
    Ok(look(&vars).await)
}

async fn look(vars: &impl Vars) -> Vec<Finding> {
    let settings = match Settings::from_vars(vars) {
        Ok(settings) => settings,
        Err(wrong) => {
            let failed = |problem| Lines(None).failed("settings", problem);
            return wrong.into_iter().map(failed).collect();
        }
    };
    let databases = settings.databases.clone().requiring_migrations(migrations::versions());
    let repos = match Repos::new(&databases) {
        Ok(repos) => repos,
        Err(wrong) => return vec![Lines(None).failed("settings", wrong)],
    };
    let seen = Repos::REGIONS.iter().map(|info| see(&settings, &repos, info));
    let (seen, ()) = tokio::join!(join_all(seen), have_all_judged(&repos));
    let primary = match repos.cluster().no_primary() {
        Some(reason) => Err(reason),
        None => Ok(repos.leader().info().region),
    };
    let mut findings = program(&settings, vars, primary);
    for (member, seen) in repos.members().zip(&seen) {
        findings.extend(check(seen, &member.health(), &settings));
    }
    repos.shutdown().await;
    findings
}

/// Looks at one server by the ways of its own, beside the monitor.
async fn see(settings: &Settings, repos: &Repos, info: &'static RegionInfo) -> Seen {
    eprintln!("asking {} …", info.code);
    let Ok(url) = settings.databases.url(info.code) else { return Seen::off(info) };
    let host = url.host();
    let (network, server) = tokio::join!(network::look(&host, url.port()), ask(url));
    let read = match repos.only(info.code) {
        Some(replica) if server.is_ok() => timeout(PATIENCE, ask_by_a_read(replica)).await.ok(),
        _ => None,
    };
    Seen { info, sslmode: Some(url.sslmode()), network, server, read: read.and_then(Result::ok) }
}

/// Has the monitor ask each server, and waits until it has an answer, or knows why there is none.
async fn have_all_judged(repos: &Repos) {
    // The monitor asks a server once a read is to go there.
    let reads = Repos::REGIONS.iter().map(async |info| {
        let read = repos.replica_in(info.code).get_result::<bool>(select(sql::<Bool>("true")));
        // It may go elsewhere, or fail: the monitor says why.
        let _ = timeout(PATIENCE, read).await;
    });
    join_all(reads).await;
    let begun = Instant::now();
    let is_judged = || repos.members().all(|member| member.health().up.is_some());
    while !is_judged() && begun.elapsed() < PATIENCE {
        sleep(LOOK).await;
    }
    sleep(NEXT_ROUND).await;
}
