//! What befalls the databases and no visitor: killed, frozen, behind, cut off from the primary, promoted, older than the program.

use std::time::Duration;

use archipelago::Role;
use archipelago_app::{migrations, schema::users};
use diesel::QueryDsl;
use diesel_async::RunQueryDsl;
use futures_util::future::join;
use reqwest::StatusCode;
use serde_json::Value;

use super::site::{
    DEADLINE, HOUR, Page, Site, catch_up, environment, environment_without_tables, first_replica,
    new_world,
};
use super::site::{primary, regions, settings, until};

/// Short, so that a test need not wait for a replica to be too far behind; longer than the second between two heartbeats.
const MAX_LAG: Duration = Duration::from_secs(3);

fn local() -> String {
    format!("{}; role=replica; reason=local", first_replica())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nearest_database_is_killed_and_frozen_and_no_read_fails() {
    let world = new_world().await;
    let site = Site::of(&environment(&world, "killed").await);
    let near = world.server(first_replica()).unwrap();
    let elsewhere = |page: &Page| page.served_by().ends_with("reason=failover");
    site.until("/users", |page| page.served_by() == local()).await;

    let (killed, page) = join(near.kill(), site.until("/users", elsewhere)).await;
    killed.unwrap();
    page.assert_shows("A nearer database is down, or too far behind.");
    assert_eq!(site.get("/readyz").await.status, StatusCode::OK, "another one serves");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_too_far_behind_is_passed_over() {
    let world = new_world().await;
    let site = Site::with_max_lag(&environment(&world, "passed_over").await, MAX_LAG);
    let near = world.server(first_replica()).unwrap();
    site.until("/users", |page| page.served_by() == local()).await;
    near.pause_replay().await.unwrap();
    let page = site.until("/users", |page| page.served_by().ends_with("reason=failover")).await;
    page.assert_hides("This page may be");
    near.resume_replay().await.unwrap();
    site.until("/users", |page| page.served_by() == local()).await;
}

/// Since its start it has replayed no commit, which would say how old it is, and there is no primary to compare it with.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_of_which_nobody_can_tell_how_far_it_is_behind_does_not_look_well() {
    let world = new_world().await;
    let vars = environment(&world, "unknown_lag").await;
    world.primary().stop().await.unwrap();
    let near = world.server(first_replica()).unwrap();
    // The first start replays what is left, up to the checkpoint that the primary ended with; the second one begins there.
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

#[tokio::test(flavor = "multi_thread")]
async fn without_a_primary_reads_go_on_and_a_write_says_why_it_cannot() {
    let world = new_world().await;
    let site = Site::with_max_lag(&environment(&world, "no_primary").await, MAX_LAG);
    let shown = site.create("Ada", "36").await;
    catch_up(&world).await;
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
        "nobody edits an old state"
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

#[tokio::test(flavor = "multi_thread")]
async fn writes_find_a_primary_that_was_promoted_elsewhere() {
    let world = new_world().await;
    let site = Site::with_max_lag(&environment(&world, "promoted").await, HOUR);
    let before = site.create("Ada", "36").await;
    catch_up(&world).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_was_replaced_and_runs_on_gets_no_write() {
    let world = new_world().await;
    let vars = environment(&world, "replaced").await;
    let site = Site::with_max_lag(&vars, HOUR);
    site.create("Ada", "36").await;
    catch_up(&world).await;
    world.promote(first_replica()).await.unwrap();
    let found = format!("{}; role=primary; reason=primary", first_replica());
    let write = || {
        site.browser.post(site.url("/users")).form(&[("user[name]", "Seeker"), ("user[age]", "1")])
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

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_with_older_tables_serves_no_read_and_says_why() {
    let world = new_world().await;
    let vars = environment_without_tables(&world, "older").await;
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

/// Waits until `/regions.json` says of a region that it is down, and why.
async fn until_down(site: &Site, code: &str, why: &str) -> Value {
    until_region(site, code, |region| region["up"] == false && region["why_down"] == why).await
}

/// Waits until `/regions.json` says so of a region.
async fn until_region(site: &Site, code: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let region = |page: &Page| {
        let regions: Vec<Value> = serde_json::from_str(&page.body).unwrap();
        regions.into_iter().find(|region| region["region"] == code).unwrap()
    };
    region(&site.until("/regions.json", |page| wanted(&region(page))).await)
}
