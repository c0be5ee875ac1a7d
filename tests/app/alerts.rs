//! Each alert of deploy/alerts.yml fires at the fault it is for, and at no other: with a real Prometheus
//! that watches the program, whose databases are the lab's.

use std::collections::BTreeSet;
use std::time::Duration;

use archipelago_lab::{World, eventually};
use diesel_async::SimpleAsyncConnection;
use futures_util::future::{join, join_all};
use serde_json::Value;

use super::monitoring::{Instance, text};
use super::prometheus::{Prometheus, promtool};
use super::site::{PRIMARY, REPLICAS, environment, primary, settings};

/// For an alert to fire, or to end: the instance has to notice first.
const DEADLINE: Duration = Duration::from_mins(1);

/// More callers than `POOL_SIZE`, which is 4 here.
const CALLERS: usize = 12;

/// The rules with a second in place of each duration, and windows of three.
fn impatient_rules() -> String {
    let rules = text("deploy/alerts.yml");
    let lines = rules.lines().map(|line| match line.split_once("for: ") {
        Some((indent, _)) => format!("{indent}for: 1s\n"),
        None => format!("{line}\n"),
    });
    lines.collect::<String>().replace("[5m]", "[3s]").replace("[1m]", "[3s]")
}

/// The names of those alerts that fire.
fn firing(alerts: &[Value]) -> BTreeSet<String> {
    let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
    firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
}

/// Waits until these alerts fire, and no other.
async fn until_firing(prometheus: &Prometheus, expected: &[&str]) {
    let expected: BTreeSet<_> = expected.iter().map(|name| (*name).to_owned()).collect();
    eventually(&format!("{expected:?} fire"), DEADLINE, async || {
        let alerts = prometheus.alerts().await.map_err(Value::from)?;
        if firing(&alerts) == expected { Ok(()) } else { Err(Value::from(alerts)) }
    })
    .await;
}

/// Runs the future as long as `until` takes.
async fn during(endless: impl Future<Output = ()>, until: impl Future<Output = ()>) {
    tokio::select! {
        () = endless => unreachable!("it does not end"),
        () = until => {}
    }
}

async fn read_again_and_again(instance: &Instance) {
    loop {
        instance.get("/users").await;
    }
}

/// So many visitors send forms at the same time.
async fn write_again_and_again(instance: &Instance, visitors: usize) {
    let write = async || loop {
        instance.try_to_create_user().await;
    };
    join_all((0..visitors).map(|_| write())).await;
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn each_alert_fires_at_its_fault_only(world: World) {
    let vars = environment(&world).await;
    let instance = Instance::start(vars.clone()).await;
    instance.create_user().await;
    let watched = Prometheus::start(instance.metrics_port, &impatient_rules()).await;
    let Some(prometheus) = watched else { return };
    eventually("the rules are evaluated", DEADLINE, async || {
        prometheus.has_evaluated_rules().await
    })
    .await;
    until_firing(&prometheus, &[]).await;
    let [near, far] = [REPLICAS[0], REPLICAS[1]].map(|region| world.server(region).unwrap());

    near.pause_replay().await.unwrap();
    // Behind writes that it does not show.
    let lags = until_firing(&prometheus, &["ArchipelagoReplicaLags"]);
    during(write_again_and_again(&instance, 1), lags).await;
    near.resume_replay().await.unwrap();
    until_firing(&prometheus, &[]).await;

    far.kill().await.unwrap();
    until_firing(&prometheus, &["ArchipelagoRegionDown"]).await;
    far.start().await.unwrap();
    until_firing(&prometheus, &[]).await;

    near.freeze().await.unwrap();
    let both = ["ArchipelagoReadsLeaveTheirRegion", "ArchipelagoRegionDown"];
    during(read_again_and_again(&instance), until_firing(&prometheus, &both)).await;
    near.thaw().await.unwrap();
    until_firing(&prometheus, &[]).await;

    let url = settings(&vars).databases.url(primary()).unwrap().clone();
    let mut admin = archipelago::connect(&url).await.unwrap();
    admin.batch_execute("BEGIN; LOCK TABLE users IN SHARE MODE").await.unwrap();
    let exhausted = until_firing(&prometheus, &["ArchipelagoPoolExhausted"]);
    during(write_again_and_again(&instance, CALLERS), exhausted).await;
    admin.batch_execute("COMMIT").await.unwrap();
    until_firing(&prometheus, &[]).await;

    world.primary().kill().await.unwrap();
    until_firing(&prometheus, &["ArchipelagoNoPrimary"]).await;
    let (started, ()) = join(world.primary().start(), until_firing(&prometheus, &[])).await;
    started.unwrap();

    near.start_writable().await.unwrap();
    until_firing(&prometheus, &["ArchipelagoTwoHistories"]).await;
}

#[test]
fn promtool_finds_nothing_wrong_with_the_alerts() {
    let path = format!("{}/deploy/alerts.yml", env!("CARGO_MANIFEST_DIR"));
    let Some(checked) = promtool(&["check", "rules", "--lint-fatal", &path], "") else { return };
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
}

/// The paragraph of the docs that each alert links to.
#[test]
fn each_alert_has_a_paragraph_in_the_docs() {
    let docs = text("docs/operating.md");
    let headings: BTreeSet<_> =
        docs.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_lowercase).collect();
    let alerts = text("deploy/alerts.yml");
    let links = alerts.lines().filter_map(|line| line.split_once("/docs/operating.md#"));
    let linked: Vec<_> = links.map(|(_, anchor)| anchor.to_owned()).collect();
    let names = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let names: Vec<_> = names.map(str::to_lowercase).collect();
    assert_eq!(names, linked, "each links to the paragraph of its name");
    let missing: Vec<_> = names.iter().filter(|name| !headings.contains(*name)).collect();
    assert!(missing.is_empty(), "docs/operating.md has no paragraph {missing:?}");
}
