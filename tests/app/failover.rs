//! Faults of the databases that visitors do not notice: killed, frozen, lagging, cut off, promoted,
//! or with an older schema than the program's.

use std::time::Duration;

use archipelago::Role;
use archipelago_app::{migrations, schema::users};
use archipelago_lab::World;
use diesel::QueryDsl;
use diesel_async::RunQueryDsl;
use futures_util::future::join;
use reqwest::StatusCode;
use serde_json::Value;

use super::site::{
    DEADLINE, HOUR, PRIMARY, Page, REPLICAS, Site, environment, environment_without_tables,
    first_replica,
};
use super::site::{primary, regions, settings, until};

/// Short, so that a paused replica soon exceeds it, but longer than the second between heartbeats.
const MAX_LAG: Duration = Duration::from_secs(3);

/// `x-served-by` of a read from the nearest replica.
fn local() -> String {
    format!("{}; role=replica; reason=local", first_replica())
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn no_read_fails_when_the_nearest_replica_dies_or_hangs(world: World) {
    let site = Site::of(&environment(&world).await);
    let near = world.server(first_replica()).unwrap();
    let elsewhere = |page: &Page| page.served_by().ends_with("reason=failover");
    site.until("/users", |page| page.served_by() == local()).await;

    let (killed, page) = join(near.kill(), site.until("/users", elsewhere)).await;
    killed.unwrap();
    page.assert_shows("A nearer database is down, or too far behind.");
    assert_eq!(site.get("/readyz").await.status, StatusCode::OK, "another replica serves");
    let down = until_down(&site, first_replica(), "it cannot be reached").await;
    assert!(down["down_seconds"].is_f64(), "{down}");
    let page = site.get("/regions").await;
    page.assert_shows("down for ");
    page.assert_hides("127.0.0.1");

    let (started, _) =
        join(near.start(), site.until("/users", |page| page.served_by() == local())).await;
    started.unwrap();
    let (frozen, _) = join(near.freeze(), site.until("/users", elsewhere)).await;
    frozen.unwrap();
    until_down(&site, first_replica(), "it does not answer").await;
    let (thawed, _) =
        join(near.thaw(), site.until("/users", |page| page.served_by() == local())).await;
    thawed.unwrap();
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn a_replica_that_lags_too_far_is_passed_over(world: World) {
    let site = Site::with_max_lag(&environment(&world).await, MAX_LAG);
    let near = world.server(first_replica()).unwrap();
    site.until("/users", |page| page.served_by() == local()).await;
    near.pause_replay().await.unwrap();
    let page = site.until("/users", |page| page.served_by().ends_with("reason=failover")).await;
    page.assert_hides("This page may be");
    near.resume_replay().await.unwrap();
    site.until("/users", |page| page.served_by() == local()).await;
}

/// Its lag is unknown: it has replayed no commit since its start, and there is no primary to compare
/// it with.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn a_replica_of_unknown_lag_is_not_shown_as_healthy(world: World) {
    let vars = environment(&world).await;
    world.primary().stop().await.unwrap();
    let near = world.server(first_replica()).unwrap();
    // The first start replays what is left, up to the primary's last checkpoint; the second begins
    // there.
    for _ in 0..2 {
        near.stop().await.unwrap();
        near.start().await.unwrap();
    }
    let site = Site::of(&vars);
    let lags = |region: &Value| {
        region["up"] == true && region["lags"] == true && region["lag_seconds"].is_null()
    };
    until_region(&site, first_replica(), lags).await;
    site.until("/regions", |page| page.body.contains("up, lag unknown")).await;
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn without_a_primary_reads_go_on_and_writes_are_explained(world: World) {
    let site = Site::with_max_lag(&environment(&world).await, MAX_LAG);
    let shown = site.create("Ada", "36").await;
    world.catch_up().await.unwrap();
    world.primary().kill().await.unwrap();

    let page = site.until(&shown, |page| page.served_by().contains("stale=")).await;
    page.assert_shows("This page may be ");
    page.assert_shows("<bdi>Ada</bdi>");
    site.until("/users", |page| page.served_by().contains("stale="))
        .await
        .assert_shows("· stale ·");
    let edit = site.get(&format!("{shown}/edit")).await;
    assert_eq!(
        (edit.status, edit.served_by().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, ""),
        "a form to edit never shows an old state"
    );
    edit.assert_shows("No database can serve this");

    let form = [
        ("_key", "67e55044-10b1-426f-9247-bb680e5fe0c8"),
        ("user[name]", "Grace Hopper"),
        ("user[age]", "85"),
    ];
    let refused = site.post("/users", &form).await;
    assert_eq!(
        (refused.status, refused.served_by().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "")
    );
    assert_eq!(refused.header("retry-after").as_deref(), Some("5"));
    refused.assert_shows("Nothing was saved: no primary can be reached at the moment.");
    for typed in form {
        refused.assert_shows(&format!(r#"value="{}""#, typed.1));
    }
    let refused = site.post(&shown, &[("_method", "delete")]).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.header("retry-after").as_deref(), Some("5"));
    refused.assert_shows("No primary can be reached");
    refused.assert_shows("Nothing was changed");
    assert_eq!(site.get("/readyz").await.status, StatusCode::OK, "reads go on");

    world.primary().start().await.unwrap();
    let saved = site.until_saved(&form).await.header("location").unwrap();
    site.get(&saved).await.assert_shows("<bdi>Grace Hopper</bdi>");
    site.until(&saved, |page| !page.served_by().contains("stale=")).await;
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn writes_go_to_a_primary_promoted_in_another_region(world: World) {
    let site = Site::with_max_lag(&environment(&world).await, HOUR);
    let before = site.create("Ada", "36").await;
    world.catch_up().await.unwrap();
    let new =
        regions(Role::Replica).nth(1).expect("this test needs a second replica in regions.toml");
    world.switch_over(new).await.unwrap();

    let form = [
        ("_key", "67e55044-10b1-426f-9247-bb680e5fe0c8"),
        ("user[name]", "Grace Hopper"),
        ("user[age]", "85"),
    ];
    let created = site.until_saved(&form).await;
    assert_eq!(created.served_by(), format!("{new}; role=primary; reason=primary"));
    let shown = created.header("location").unwrap();
    site.get(&shown).await.assert_shows("<bdi>Grace Hopper</bdi>");
    site.get(&before).await.assert_shows("<bdi>Ada</bdi>");

    let leads = |region: &Value| {
        region["leads"] == true && region["role"] == "primary" && region["timeline"] == 2
    };
    until_region(&site, new, |region| leads(region) && region["up"] == true).await;
    until_region(&site, primary(), |region| {
        region["leads"] == false && region["first_for_reads"] == false
    })
    .await;
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn a_superseded_primary_gets_no_write(world: World) {
    let vars = environment(&world).await;
    let site = Site::with_max_lag(&vars, HOUR);
    site.create("Ada", "36").await;
    world.catch_up().await.unwrap();
    world.promote(first_replica()).await.unwrap();
    let found = format!("{}; role=primary; reason=primary", first_replica());
    let write = || {
        site.browser.post(site.url("/users")).form(&[("user[name]", "Mallory"), ("user[age]", "1")])
    };
    until(write, |page| page.served_by() == found).await;

    let mut old =
        archipelago::connect(settings(&vars).databases.url(primary()).unwrap()).await.unwrap();
    let mut count = async || users::table.count().get_result::<i64>(&mut old).await.unwrap();
    let before = count().await;
    for n in 0..20 {
        let page =
            site.until_saved(&[("user[name]", &format!("Number {n}")), ("user[age]", "1")]).await;
        assert_eq!(page.served_by(), found);
    }
    assert_eq!(count().await, before);
    until_down(&site, primary(), "another one was promoted in its place").await;
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn a_replica_with_older_tables_serves_no_read_and_says_why(world: World) {
    let vars = environment_without_tables(&world).await;
    let near = world.server(first_replica()).unwrap();
    near.pause_replay().await.unwrap();
    migrations::run(settings(&vars).databases.url(primary()).unwrap()).await.unwrap();
    let position = world.primary().position().await.unwrap();
    for other in world.replicas().filter(|replica| replica.region() != first_replica()) {
        other.wait_until_replayed(position, DEADLINE).await.unwrap();
    }
    let site = Site::with_max_lag(&vars, HOUR);
    site.until("/users", |page| page.served_by().ends_with("reason=failover")).await;
    until_down(&site, first_replica(), "its tables are older than this program needs").await;
    near.resume_replay().await.unwrap();
    site.until("/users", |page| page.served_by() == local()).await;
}

/// Waits until `/regions.json` has a region as down for this reason.
async fn until_down(site: &Site, code: &str, why: &str) -> Value {
    until_region(site, code, |region| region["up"] == false && region["why_down"] == why).await
}

/// Waits until a region of `/regions.json` is as wanted.
async fn until_region(site: &Site, code: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let region = |page: &Page| {
        let regions: Vec<Value> = serde_json::from_str(&page.body).unwrap();
        regions.into_iter().find(|region| region["region"] == code).unwrap()
    };
    region(&site.until("/regions.json", |page| wanted(&region(page))).await)
}
