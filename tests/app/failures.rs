//! What goes wrong, and what the visitor is told: the right status, a page that says what to do, and nothing lost.

use futures_util::future::join_all;
use reqwest::StatusCode;

use super::site::{Page, Site, environment, new_world, until, visitor};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there() {
    let site = Site::new("not_there").await;
    for path in ["/users/99", "/users/-1", "/users/99/edit"] {
        let page = site.get(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        page.assert_shows("There is no such user");
    }
    for path in ["/users/ada", "/users/1x", "/users/99999999999999999999", "/nowhere", "/users/1/"]
    {
        let page = site.get(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        page.assert_shows("There is no such page");
        assert!(page.header("content-type").unwrap().starts_with("text/html"));
    }
    for method in ["put", "delete"] {
        let page = site
            .post("/users/99", &[("_method", method), ("user[name]", "Ada"), ("user[age]", "36")])
            .await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense() {
    let site = Site::new("nonsense").await;
    let page = site.post("/users/1", &[("user[name]", "Ada")]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    page.assert_shows("_method");
    let json =
        site.browser.post(site.url("/users")).header("content-type", "application/json").body("{}");
    assert_eq!(Page::of(json).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let large = "x".repeat(20_000);
    assert_eq!(
        site.post("/users", &[("user[name]", &large)]).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let twice =
        site.browser.post(site.url("/users")).form(&[("user[age]", "1"), ("user[age]", "2")]);
    assert_eq!(Page::of(twice).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        Page::of(site.browser.delete(site.url("/users"))).await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    let not_text = site
        .browser
        .post(site.url("/users"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("user[name]=%FF%00");
    let status = Page::of(not_text).await.status;
    assert!(status.is_client_error(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_from_other_sites() {
    let site = Site::new("cross_site").await;
    let form = [("user[name]", "Mallory"), ("user[age]", "1")];
    let request = |header: &str, value: &str| {
        site.browser.post(site.url("/users")).header(header, value).form(&form)
    };
    let page = Page::of(request("sec-fetch-site", "cross-site")).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    page.assert_shows("Another site asked your browser");
    assert_eq!(
        Page::of(request("origin", "https://evil.example")).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        Page::of(request("sec-fetch-site", "same-origin")).await.status,
        StatusCode::SEE_OTHER
    );
    let link = site.browser.get(site.url("/users")).header("sec-fetch-site", "cross-site");
    assert_eq!(Page::of(link).await.status, StatusCode::OK, "a link from elsewhere is welcome");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_database_at_all() {
    let world = new_world().await;
    let site = Site::of(&environment(&world, "none_at_all").await);
    assert_eq!(site.get("/readyz").await.status, StatusCode::OK);
    join_all(world.servers().map(async |server| server.kill().await.unwrap())).await;
    // The first read may find connections that were open, the next ones cannot connect.
    for _ in 0..3 {
        let page = site.get("/users").await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(page.header("retry-after").as_deref(), Some("5"));
        page.assert_shows("Nothing was lost. Try again in a few seconds.");
        page.assert_hides("127.0.0.1");
        page.assert_hides("Served by");
        assert_eq!(page.served_by(), "", "nobody served it");
    }
    assert_eq!(site.get("/healthz").await.status, StatusCode::OK, "a restart would not mend it");
    assert_eq!(site.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);

    world.primary().start().await.unwrap();
    for path in ["/users", "/readyz"] {
        let read = || site.browser.get(site.url(path));
        until(read, |page| page.status == StatusCode::OK).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_nowhere_to_be_read() {
    let world = new_world().await;
    let site = Site::of(&environment(&world, "nowhere").await);
    join_all(world.replicas().map(async |replica| replica.pause_replay().await.unwrap())).await;
    let shown = site.create("Grace Hopper", "85").await;
    world.primary().kill().await.unwrap();
    let page = site.get(&shown).await;
    assert_eq!(
        (page.status, page.served_by().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, ""),
        "rather none than an old one"
    );
    page.assert_shows("Nothing was lost. Try again in a few seconds.");
    // Who wrote nothing reads on.
    until(|| visitor().get(site.url("/users")), |page| page.status == StatusCode::OK).await;
}
