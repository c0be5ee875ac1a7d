//! `/regions` in a real browser: it is live, it can be used without a mouse or a script, and no page of
//! the app has what axe-core calls a violation.
//!
//! With `SCREENSHOTS=1` it also makes [`Pictures`].

use std::collections::HashMap;

use archipelago::override_variable;
use archipelago_app::local_databases;
use archipelago_lab::{World, eventually};
use chromiumoxide::cdp::browser_protocol::emulation::SetScriptExecutionDisabledParams;
use futures_util::future::join;
use reqwest::StatusCode;
use serde_json::Value;

use super::axe::has_no_violations;
use super::pictures::Pictures;
use super::site::{DEADLINE, PRIMARY, REPLICAS, Site, environment, first_replica, primary};
use super::visitor::Visitor;

/// The states in words of all cards.
const STATES: &str = "[...document.querySelectorAll('.card > :is(.good, .behind, .bad, .unknown)')].map(p => p.innerText)";

/// Resolves with the next update of the page.
const NEXT_UPDATE: &str = "() => new Promise(updated => new MutationObserver((_, observer) => (observer.disconnect(), updated(true))).observe(document.getElementById('overview'), { subtree: true, characterData: true }))";

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn the_map_shows_faults_as_they_happen(world: World) {
    let site = Site::of(&at_real_distances(&world).await);
    let Some(mut visitor) = Visitor::of(site.url("")).await else { return };
    let shown = site.create("Ada", "36").await;
    world.catch_up().await.unwrap();
    site.get("/users").await;
    visitor.goto("/regions").await;
    visitor.reads("Live: updated each second.").await;
    visitor
        .holds(&format!(
            "{STATES}.filter(it => it.startsWith('up, ')).length == {}",
            1 + REPLICAS.len()
        ))
        .await;
    // An idle, healthy replica is not behind.
    visitor.holds(&format!("{}.includes('nothing')", card(first_replica()))).await;
    let mut pictures = Pictures::begin(&visitor);
    pictures.picture("regions-light.png", false).await;

    the_focus_stays_on_a_page_that_changes(&visitor).await;

    let (victim, slow) = (REPLICAS[REPLICAS.len() - 1], REPLICAS[REPLICAS.len() - 2]);
    world.server(slow).unwrap().pause_replay().await.unwrap();
    world.server(victim).unwrap().kill().await.unwrap();
    visitor.sees_state(victim, "down").await;
    visitor.reads(&format!("{victim} serves no reads")).await;
    visitor
        .holds(&format!(
            "document.querySelector('a.marker.bad').getAttribute('href') == '#region-{victim}'"
        ))
        .await;
    pictures.frames(3, NEXT_UPDATE).await;
    world.server(victim).unwrap().start().await.unwrap();
    visitor.sees_state(victim, "up, answers").await;
    visitor.reads(&format!("{victim} serves reads again.")).await;
    pictures.frames(2, NEXT_UPDATE).await;
    visitor.sees_state(slow, "too far behind").await;
    pictures.picture("regions-dark.png", true).await;
    pictures.frames(2, NEXT_UPDATE).await;
    world.server(slow).unwrap().resume_replay().await.unwrap();
    visitor.sees_state(slow, "up, answers").await;
    pictures.frames(2, NEXT_UPDATE).await;
    pictures.animate("regions.png", 1000);

    without_a_script_the_page_is_as_it_was_loaded(&visitor).await;
    for dark in [false, true] {
        for path in
            ["/", "/users", "/users/new", &shown, &format!("{shown}/edit"), "/regions", "/users/0"]
        {
            has_no_violations(&visitor, path, dark).await;
        }
    }
    visitor.assert_no_errors_but(&[("404", "/users/0")]).await;
    visitor.leave().await;
}

/// What the environment of an instance says, with its lines as long as in the world.
async fn at_real_distances(world: &World) -> HashMap<String, String> {
    let mut vars = environment(world).await;
    let (here, distances) = (first_replica(), local_databases::distances().unwrap());
    for server in world.servers() {
        let region = server.region();
        if region != here {
            world.links().slow(here, region, distances.round_trip(here, region)).unwrap();
        }
        vars.insert(override_variable(region), server.url_from(here).unwrap());
    }
    vars
}

fn card(region: &str) -> String {
    format!("document.getElementById('region-{region}').innerText")
}

impl Visitor {
    async fn sees_state(&self, region: &str, state: &str) {
        self.holds(&format!("{}.includes('{state}')", card(region))).await;
    }
}

/// With the keys alone, from the map to the card of a database; two updates later the focus is there still.
async fn the_focus_stays_on_a_page_that_changes(visitor: &Visitor) {
    let marker = format!("a.marker[href=\"#region-{}\"]", primary());
    for _ in 0..30 {
        visitor.press("Tab").await;
        if visitor.is(&format!("document.activeElement.matches('{marker}')")).await {
            break;
        }
    }
    visitor.holds(&format!("document.activeElement.matches('{marker}')")).await;
    let caption = format!("document.querySelector('#region-{} .caption').innerText", primary());
    let start = "(window.seen = new Set(), true)";
    visitor.holds(start).await;
    visitor.holds(&format!("window.seen.add({caption}).size > 2")).await;
    visitor.holds(&format!("document.activeElement.matches('{marker}')")).await;
    visitor.press("Enter").await;
    visitor.holds(&format!("location.hash == '#region-{}'", primary())).await;
}

async fn without_a_script_the_page_is_as_it_was_loaded(visitor: &Visitor) {
    let disable = |value| SetScriptExecutionDisabledParams { value };
    visitor.page.execute(disable(true)).await.unwrap();
    visitor.goto("/regions").await;
    visitor.page.execute(disable(false)).await.unwrap();
    visitor.reads("As they were when the page was loaded.").await;
    visitor.holds(&format!("{STATES}.length == {}", 1 + REPLICAS.len())).await;
    visitor.holds("document.querySelectorAll('.map a.marker').length == document.querySelectorAll('.card').length").await;
}

/// Programs get the same as `/regions.json` at once, and then each second, until the instance stops.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn events_for_programs(world: World) {
    let site = Site::new(&world).await;
    site.until("/regions/changes.json", |page| page.body.contains("takes the writes")).await;
    let mut events = site.browser.get(site.url("/regions/events")).send().await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let regions = site.get("/regions.json").await.body;
    let [regions, changes] = [regions, site.get("/regions/changes.json").await.body]
        .map(|text| serde_json::from_str::<Value>(&text).unwrap());
    let mut text = String::new();
    for _ in 0..3 {
        // One update; it may come in parts.
        let update = loop {
            if let Some((_, rest)) = text.split_once("event: changes")
                && let Some(end) = rest.find("\n\n")
            {
                let end = text.len() - rest.len() + end + 2;
                break text.drain(..end).collect::<String>();
            }
            text += std::str::from_utf8(&events.chunk().await.unwrap().unwrap()).unwrap();
        };
        let lines: Vec<_> = update.lines().collect();
        let [named, data, "", named_changes, data_changes, ""] = lines[..] else {
            panic!("{lines:?}")
        };
        assert_eq!((named, named_changes), ("event: regions", "event: changes"));
        let sent = |line: &str| -> Value {
            serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap()
        };
        let codes = |regions: &Value| -> Vec<String> {
            let regions = regions.as_array().unwrap().iter();
            regions.map(|it| it["region"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(codes(&sent(data)), codes(&regions));
        assert_eq!(sent(data_changes)[0], changes[0]);
    }
    // HEAD has the head only, and keeps nothing open.
    let head = site.browser.head(site.url("/regions/events")).send().await.unwrap();
    assert_eq!(head.headers()["content-type"], "text/event-stream");
    let Site { running, .. } = site;
    join(async { while let Ok(Some(_)) = events.chunk().await {} }, running.stop()).await;
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn viewers_are_bounded(world: World) {
    let site = Site::new(&world).await;
    let view = || site.browser.get(site.url("/regions/events?format=html")).send();
    let mut viewers = Vec::new();
    for _ in 0..256 {
        viewers.push(view().await.unwrap());
        assert_eq!(viewers.last().unwrap().status(), StatusCode::OK);
    }
    let refused = view().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "10");
    for viewer in &mut viewers {
        let mut text = Vec::new();
        while text.windows(11).filter(|it| it == b"event: part").count() < 3 {
            text.extend(viewer.chunk().await.unwrap().unwrap());
        }
    }
    viewers.pop();
    let has_place = || site.browser.get(site.url("/regions/events"));
    eventually("the place of one who has left", DEADLINE, async || {
        match has_place().send().await.unwrap().status() {
            StatusCode::OK => Ok(()),
            status => Err(status),
        }
    })
    .await;
    let wrong = site.get("/regions/events?format=xml").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}
