//! The map of the lab in a real browser: requests travel, and what is clicked breaks.

use archipelago::RegionSet;
use archipelago_app::repos::Repos;
use reqwest::StatusCode;
use tokio::time::timeout;

use super::axe::has_no_violations;
use super::lab::Up;
use super::pictures::Pictures;
use super::site::{DEADLINE, Page, REPLICAS, first_replica, primary, visitor};
use super::visitor::Visitor;

/// Resolves a moment later: between two frames of a request that travels.
const SOON: &str = "() => new Promise(later => setTimeout(() => later(true), 150))";

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_clicked_and_requests_travel() {
    let mut up = Up::start().await;
    let map = path_of_the_map(&mut up).await;
    only_the_token_opens_it(&up, &map).await;
    let Some(mut visitor) = Visitor::of(up.serving.url("")).await else { return up.end().await };
    visitor.goto(&map).await;
    all_show(&visitor, 4).await;

    // From where there is no database; the write goes to the primary and back.
    let is_region = |code: &str| Repos::REGIONS.iter().any(|info| info.region == code);
    let places = <Repos as RegionSet>::COORDINATES.iter().map(|it| it.place);
    let place = places.into_iter().find(|place| !is_region(place)).unwrap();
    visitor.holds(&format!("({}, true)", click(&format!("[data-place={place}]")))).await;
    visitor.holds(&format!("document.getElementById('stand').value == '{place}'")).await;
    let mut pictures = Pictures::begin(&visitor);
    visitor.click("button", "Create a user").await;
    pictures.frames(14, SOON).await;
    pictures.animate("lab.png", 250);
    visitor
        .holds(&format!(
            "document.getElementById('visits').innerText.includes('POST /users from {place} → ')"
        ))
        .await;
    visitor.holds(&format!("/POST .users from {place} → .* → {}: 303/.test(document.getElementById('visits').innerText)", primary())).await;
    all_show(&visitor, 5).await;
    visitor.click("button", "Read the users").await;
    visitor.holds("document.querySelector('#travels .travel.read') != null").await;
    visitor
        .holds(&format!(
            "document.getElementById('visits').innerText.includes('GET /users from {place} → ')"
        ))
        .await;

    let near = first_replica();
    visitor.click("button", &format!("Kill: {near}")).await;
    visitor.reads(&format!("{near} has crashed")).await;
    visitor
        .holds(&format!(
            "document.querySelector('#databases [data-key={near}]').classList.contains('bad')"
        ))
        .await;
    visitor.misses("button", &format!("Kill: {near}")).await;
    visitor.click("button", &format!("Start: {near}")).await;
    visitor
        .holds(&format!(
            "document.querySelector('#databases [data-key={near}]').classList.contains('good')"
        ))
        .await;

    // A database that is paused shows no new user.
    visitor.click("button", &format!("Pause replay: {near}")).await;
    visitor.sees("button", &format!("Resume replay: {near}")).await;
    visitor.click("button", "Create a user").await;
    for other in REPLICAS.iter().filter(|region| **region != near) {
        shows(&visitor, other, 6).await;
    }
    shows(&visitor, near, 5).await;
    visitor.click("button", &format!("Resume replay: {near}")).await;
    all_show(&visitor, 6).await;

    let line = format!("{} – {near}", primary());
    visitor.click("button", &format!("Cut: {line}")).await;
    visitor.holds("document.querySelector('.stream.cut') != null").await;
    visitor.click("button", &format!("Heal: {line}")).await;
    visitor.holds("document.querySelector('.stream.cut') == null").await;

    // By the keys alone, from the map to what breaks a database.
    visitor
        .holds(&format!("(document.querySelector('#databases [data-key={near}]').focus(), true)"))
        .await;
    visitor.press("Enter").await;
    visitor
        .holds(&format!("document.activeElement.getAttribute('aria-label') == 'Kill: {near}'"))
        .await;

    visitor.click("button", &format!("Promote: {near}")).await;
    visitor.holds(&format!("document.querySelector('#servers [data-key={near}] .state').innerText.startsWith('primary')")).await;
    visitor.click("button", &format!("Rejoin: {}", primary())).await;
    visitor.holds(&format!("document.querySelector('#servers [data-key={}] .state').innerText.startsWith('replica, running')", primary())).await;

    for is_dark in [false, true] {
        has_no_violations(&visitor, &map, is_dark).await;
    }
    visitor.assert_no_errors_but(&[]).await;
    visitor.leave().await;
    up.end().await;
}

async fn path_of_the_map(up: &mut Up) -> String {
    let path = timeout(DEADLINE, async {
        loop {
            let line = up.serving.lines.next_line().await.unwrap().unwrap();
            if let Some(at) = line.find("/_lab/") {
                return line[at..].to_owned();
            }
        }
    });
    path.await.expect("the program prints the address of the map")
}

async fn only_the_token_opens_it(up: &Up, map: &str) {
    assert_eq!(map.len(), "/_lab//".len() + 32);
    for (path, status) in [
        (map, StatusCode::OK),
        ("/_lab/", StatusCode::NOT_FOUND),
        (&map.replace("lab/", "lab/0"), StatusCode::NOT_FOUND),
    ] {
        let page = Page::of(visitor().get(up.serving.url(path))).await;
        assert_eq!(page.status, status, "{path}");
    }
    let page = Page::of(visitor().get(up.serving.url(map))).await;
    assert_eq!(page.header("referrer-policy").as_deref(), Some("no-referrer"));
    let command = visitor().post(up.serving.url(&format!("{map}command")));
    // What another site can send without being asked.
    let page =
        Page::of(command.header("content-type", "text/plain").body(r#"{"kill":{"region":"nrt"}}"#))
            .await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
}

async fn all_show(visitor: &Visitor, users: usize) {
    for region in REPLICAS.iter().copied().chain([primary()]) {
        shows(visitor, region, users).await;
    }
}

async fn shows(visitor: &Visitor, region: &str, users: usize) {
    visitor.holds(&format!("document.querySelector('#databases [data-key={region}] text')?.textContent == '{region} · {users}'")).await;
}

fn click(selector: &str) -> String {
    format!("document.querySelector(\"{selector}\").dispatchEvent(new MouseEvent('click'))")
}
