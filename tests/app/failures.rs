//! Failures as visitors see them: the right status, and a page that says what to do.

use archipelago_lab::World;
use futures_util::future::join_all;
use reqwest::StatusCode;

use super::site::{PRIMARY, Page, REPLICAS, Site, environment, until, visitor};

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn an_unknown_user_or_page_is_not_found(world: World) {
    let site = Site::new(&world).await;
    for path in ["/users/99", "/users/-1", "/users/99/edit"] {
        let page = site.get(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        page.assert_shows("There is no such user");
    }
    site.create("Ada", "36").await;
    for path in [
        "/users/ada",
        "/users/1x",
        "/users/+1",
        "/users/01",
        "/users/01/edit",
        "/users/99999999999999999999",
        "/nowhere",
        "/users/1/",
    ] {
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

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_malformed_request_is_refused(world: World) {
    let site = Site::new(&world).await;
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

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn writes_from_other_sites_are_refused(world: World) {
    let site = Site::new(&world).await;
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
    assert_eq!(Page::of(link).await.status, StatusCode::OK, "a link on another site may lead here");
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn without_any_database_pages_ask_to_try_again(world: World) {
    let site = Site::of(&environment(&world).await);
    assert_eq!(site.get("/readyz").await.status, StatusCode::OK);
    join_all(world.servers().map(async |server| server.kill().await.unwrap())).await;
    // The first read may use connections that were open; the next ones cannot connect.
    for _ in 0..3 {
        let page = site.get("/users").await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(page.header("retry-after").as_deref(), Some("5"));
        page.assert_shows("Nothing was lost. Try again in a few seconds.");
        page.assert_hides("127.0.0.1");
        page.assert_hides("Served by");
        assert_eq!(page.served_by(), "", "no region served it");
    }
    assert_eq!(site.get("/healthz").await.status, StatusCode::OK, "a restart would not help");
    assert_eq!(site.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);

    world.primary().start().await.unwrap();
    for path in ["/users", "/readyz"] {
        let read = || site.browser.get(site.url(path));
        until(read, |page| page.status == StatusCode::OK).await;
    }
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn a_write_that_no_server_can_show_is_an_error(world: World) {
    let site = Site::of(&environment(&world).await);
    join_all(world.replicas().map(async |replica| replica.pause_replay().await.unwrap())).await;
    let shown = site.create("Grace Hopper", "85").await;
    world.primary().kill().await.unwrap();
    let page = site.get(&shown).await;
    assert_eq!(
        (page.status, page.served_by().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, ""),
        "no page rather than an old state"
    );
    page.assert_shows("Nothing was lost. Try again in a few seconds.");
    // A visitor who has written nothing may read.
    until(|| visitor().get(site.url("/users")), |page| page.status == StatusCode::OK).await;
}
