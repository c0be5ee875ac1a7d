//! What befalls the databases and no visitor: killed, frozen, behind, cut off from the primary, promoted, older than the program.

use std::collections::HashMap;
use std::time::Duration;

use archipelago::Role;
use archipelago_app::{migrations, schema::users};
use diesel::QueryDsl;
use diesel_async::RunQueryDsl;
use futures_util::future::join;
use reqwest::StatusCode;
use serde_json::Value;
use tokio::time::timeout;

use super::site::{DEADLINE, Page, Site, catch_up, environment, environment_without_tables, first_replica, new_world, primary};
use super::site::{regions, settings};

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
    until(&site, "/users", |page| page.served_by() == local()).await;

    let (killed, page) = join(near.kill(), until(&site, "/users", elsewhere)).await;
    killed.unwrap();
    page.assert_shows("A nearer database is down, or too far behind.");
    assert_eq!(site.get("/readyz").await.status, StatusCode::OK, "another one serves");
    let down = until_region(&site, first_replica(), |region| region["up"] == false).await;
    assert_eq!(down["why_down"], "it cannot be reached");
    assert!(down["down_seconds"].as_f64().is_some_and(|seconds| seconds < DEADLINE.as_secs_f64()), "{down}");
    let page = site.get("/regions").await;
    page.assert_shows("down for ");
    page.assert_hides("127.0.0.1");

    let (started, _) = join(near.start(), until(&site, "/users", |page| page.served_by() == local())).await;
    started.unwrap();
    let (frozen, _) = join(near.freeze(), until(&site, "/users", elsewhere)).await;
    frozen.unwrap();
    let down = until_region(&site, first_replica(), |region| region["up"] == false).await;
    assert_eq!(down["why_down"], "it does not answer");
    let (thawed, _) = join(near.thaw(), until(&site, "/users", |page| page.served_by() == local())).await;
    thawed.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_too_far_behind_is_passed_over() {
    let world = new_world().await;
    let site = patient_at_most(&environment(&world, "passed_over").await, MAX_LAG);
    let near = world.server(first_replica()).unwrap();
    until(&site, "/users", |page| page.served_by() == local()).await;
    near.pause_replay().await.unwrap();
    let page = until(&site, "/users", |page| page.served_by().ends_with("reason=failover")).await;
    page.assert_hides("This page may be");
    near.resume_replay().await.unwrap();
    until(&site, "/users", |page| page.served_by() == local()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_primary_reads_go_on_and_a_write_says_why_it_cannot() {
    let world = new_world().await;
    let site = patient_at_most(&environment(&world, "no_primary").await, MAX_LAG);
    let shown = site.create("Ada", "36").await;
    catch_up(&world).await;
    world.primary().kill().await.unwrap();

    let page = until(&site, &shown, |page| page.served_by().contains("stale=")).await;
    page.assert_shows("This page may be ");
    page.assert_shows("<bdi>Ada</bdi>");
    until(&site, "/users", |page| page.served_by().contains("stale=")).await.assert_shows("· stale ·");
    let edit = site.get(&format!("{shown}/edit")).await;
    assert_eq!((edit.status, edit.served_by().as_str()), (StatusCode::SERVICE_UNAVAILABLE, ""), "nobody edits an old state");
    edit.assert_shows("No database can serve this");

    let form = [("_key", "67e55044-10b1-426f-9247-bb680e5fe0c8"), ("user[name]", "Grace Hopper"), ("user[age]", "85")];
    let refused = site.post("/users", &form).await;
    assert_eq!((refused.status, refused.served_by().as_str()), (StatusCode::SERVICE_UNAVAILABLE, ""));
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
    let saved = timeout(DEADLINE, async {
        loop {
            let page = site.post("/users", &form).await;
            if page.status == StatusCode::SEE_OTHER {
                return page;
            }
        }
    });
    let saved = saved.await.unwrap().header("location").unwrap();
    site.get(&saved).await.assert_shows("<bdi>Grace Hopper</bdi>");
    until(&site, &saved, |page| !page.served_by().contains("stale=")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_find_a_primary_that_was_promoted_elsewhere() {
    let world = new_world().await;
    let site = Site::of(&environment(&world, "promoted").await);
    let before = site.create("Ada", "36").await;
    catch_up(&world).await;
    let new = regions(Role::Replica).nth(1).expect("this test needs a second replica in regions.toml");
    world.switch_over(new).await.unwrap();

    let form = [("_key", "67e55044-10b1-426f-9247-bb680e5fe0c8"), ("user[name]", "Grace Hopper"), ("user[age]", "85")];
    let writing = timeout(DEADLINE, async {
        loop {
            let page = site.post("/users", &form).await;
            if page.status == StatusCode::SEE_OTHER {
                return page;
            }
            assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.body);
        }
    });
    let created = writing.await.expect("writes find the new primary");
    assert_eq!(created.served_by(), format!("{new}; role=primary; reason=primary"));
    let shown = created.header("location").unwrap();
    site.get(&shown).await.assert_shows("<bdi>Grace Hopper</bdi>");
    site.get(&before).await.assert_shows("<bdi>Ada</bdi>");

    let leader = until_region(&site, new, |region| region["leads"] == true && region["role"] == "primary").await;
    assert_eq!((&leader["up"], &leader["timeline"]), (&true.into(), &2.into()));
    let old = until_region(&site, primary(), |region| region["leads"] == false).await;
    assert_eq!(old["first_for_reads"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_was_replaced_and_runs_on_gets_no_write() {
    let world = new_world().await;
    let vars = environment(&world, "replaced").await;
    let site = Site::of(&vars);
    site.create("Ada", "36").await;
    catch_up(&world).await;
    world.promote(first_replica()).await.unwrap();
    let found = format!("{}; role=primary; reason=primary", first_replica());
    let writing =
        async { while site.post("/users", &[("user[name]", "Seeker"), ("user[age]", "1")]).await.served_by() != found {} };
    timeout(DEADLINE, writing).await.expect("writes find the new primary");

    let mut old = settings(&vars).databases.url(primary()).unwrap().connect().await.unwrap();
    let mut count = async || users::table.count().get_result::<i64>(&mut old).await.unwrap();
    let before = count().await;
    for n in 0..20 {
        let page = site.post("/users", &[("user[name]", &format!("Number {n}")), ("user[age]", "1")]).await;
        assert_eq!((page.status, page.served_by()), (StatusCode::SEE_OTHER, found.clone()));
    }
    assert_eq!(count().await, before);
    let replaced = until_region(&site, primary(), |region| region["up"] == false).await;
    assert_eq!(replaced["why_down"], "another one was promoted in its place");
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
    let site = Site::of(&vars);
    until(&site, "/users", |page| page.served_by().ends_with("reason=failover")).await;
    let down = until_region(&site, first_replica(), |region| region["up"] == false).await;
    assert_eq!(down["why_down"], "its tables are older than this program needs");
    near.resume_replay().await.unwrap();
    until(&site, "/users", |page| page.served_by() == local()).await;
}

/// The app where a replica may be only so far behind.
fn patient_at_most(vars: &HashMap<String, String>, limit: Duration) -> Site {
    let mut settings = settings(vars);
    settings.databases = settings.databases.with_max_lag(limit);
    Site::with(&settings)
}

/// Reads without a pause until a page is as it should be. No read may fail meanwhile.
async fn until(site: &Site, path: &str, wanted: impl Fn(&Page) -> bool) -> Page {
    let mut last = String::new();
    let reading = async {
        loop {
            let page = site.get(path).await;
            assert_eq!(page.status, StatusCode::OK, "after {last}: {}", page.body);
            if wanted(&page) {
                return page;
            }
            last = page.served_by();
        }
    };
    let page = timeout(DEADLINE, reading).await;
    page.unwrap_or_else(|_| panic!("still {last}"))
}

/// Waits until `/regions.json` says so of a region.
async fn until_region(site: &Site, code: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let looking = async {
        loop {
            let regions: Value = serde_json::from_str(&site.get("/regions.json").await.body).unwrap();
            let region = regions.as_array().unwrap().iter().find(|region| region["region"] == code).unwrap();
            if wanted(region) {
                return region.clone();
            }
        }
    };
    timeout(DEADLINE, looking).await.unwrap_or_else(|_| panic!("{code} never is as it should be"))
}
