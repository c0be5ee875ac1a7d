//! Tests of the visitor's place, and of the instances that serve it.

use crate::testbed::{SYD, Testbed, fetch};

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");

#[tokio::test]
async fn the_header_holds_for_one_request() {
    let testbed = Testbed::start().await;
    let response = testbed.get("/", &[SYD]).await;
    assert_eq!((response.text(), response.hops()), ("syd", "from=syd; instance=syd"));
    assert_eq!(response.headers("set-cookie"), Vec::<&str>::new());
    assert_eq!(testbed.get("/", &[]).await.text(), "nrt", "the default place");
}

#[tokio::test]
async fn the_header_can_list_several_regions() {
    let testbed = Testbed::start().await;
    let response = testbed.get("/", &[("fly-prefer-region", "cdg, syd")]).await;
    assert_eq!(response.hops(), "from=cdg; instance=syd");
}

#[tokio::test]
async fn a_place_without_an_instance_is_served_by_the_nearest() {
    let testbed = Testbed::start().await;
    let response = testbed.get("/", &[("fly-prefer-region", "cdg")]).await;
    assert_eq!((response.text(), response.hops()), ("ord", "from=cdg; instance=ord"));
    assert_eq!(testbed.ord.only_request().header("fly-region"), Some("cdg"));
}

#[tokio::test]
async fn from_redirects_and_sets_the_cookie() {
    let testbed = Testbed::start().await;
    let response = testbed.get("/a?x=1&from=syd&y=%20", &[]).await;
    assert_eq!((response.status, response.header("location")), (303, Some("/a?x=1&y=%20")));
    assert_eq!(
        response.header("set-cookie"),
        Some("edge_from=syd; Path=/; HttpOnly; SameSite=Lax")
    );
    assert!(testbed.nrt.requests().is_empty() && testbed.syd.requests().is_empty());

    let response = testbed.get("/a?x=1&y=%20", &[("cookie", "a=\"1 2\"; edge_from=syd; b")]).await;
    assert_eq!(response.text(), "syd");
    let received = testbed.syd.only_request();
    assert_eq!(
        (received.target.as_str(), received.header("cookie")),
        ("/a?x=1&y=%20", Some("a=\"1 2\"; b"))
    );
}

#[tokio::test]
async fn a_write_with_from_is_forwarded_and_sets_the_cookie() {
    let testbed = Testbed::start().await;
    let response = testbed.send("POST", "/a?from=syd&y=%20", &[], "written").await;
    assert_eq!((response.status, response.text()), (200, "syd"));
    assert_eq!(
        response.header("set-cookie"),
        Some("edge_from=syd; Path=/; HttpOnly; SameSite=Lax")
    );
    let received = testbed.syd.only_request();
    assert_eq!((received.target.as_str(), &received.body[..]), ("/a?y=%20", &b"written"[..]));
}

#[tokio::test]
async fn the_header_wins_over_from_and_from_over_the_cookie() {
    let testbed = Testbed::start().await;
    let response = testbed
        .get("/a?from=syd", &[("fly-prefer-region", "ord"), ("cookie", "edge_from=nrt")])
        .await;
    assert_eq!((response.status, response.text()), (200, "ord"));
    assert_eq!(
        (testbed.ord.only_request().target.as_str(), testbed.ord.only_request().header("cookie")),
        ("/a", None)
    );

    let response = testbed.send("POST", "/a?from=syd", &[("cookie", "edge_from=nrt")], "").await;
    assert_eq!(response.text(), "syd");
}

#[tokio::test]
async fn an_unknown_place_is_400_with_all_known_ones() {
    let testbed = Testbed::start().await;
    for response in [
        testbed.get("/?from=mars", &[]).await,
        testbed.get("/", &[("fly-prefer-region", "mars")]).await,
    ] {
        assert_eq!(
            (response.status, response.header("content-type")),
            (400, Some("text/plain; charset=utf-8"))
        );
        assert!(
            response.text().starts_with("unknown place `mars`: the places are ams, arn, "),
            "{}",
            response.text()
        );
    }
    let page = testbed.get("/a?from=mars&x=1", &[BROWSER]).await;
    assert_eq!((page.status, page.header("content-type")), (400, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("href=\"/a?x=1&#38;from=syd\""), "{}", page.text());
    assert!(testbed.nrt.requests().is_empty());
}

#[tokio::test]
async fn an_unknown_place_in_the_cookie_is_ignored() {
    let testbed = Testbed::start().await;
    assert_eq!(testbed.get("/", &[("cookie", "edge_from=mars")]).await.text(), "nrt");
}

#[tokio::test]
async fn a_browser_without_a_place_is_asked() {
    let testbed = Testbed::start().await;
    let page = testbed.get("/users?page=2", &[BROWSER]).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("<h1>Where on Earth do you stand?</h1>"), "{}", page.text());
    assert!(page.text().contains("href=\"/users?page=2&#38;from=cdg\""), "{}", page.text());
    assert!(page.text().contains("1 ms to ord"), "{}", page.text());
    assert!(testbed.nrt.requests().is_empty());

    // Only a request that opens a page is asked for its place.
    assert_eq!(
        testbed.get("/style.css", &[BROWSER, ("sec-fetch-mode", "no-cors")]).await.text(),
        "nrt"
    );
    assert_eq!(testbed.send("POST", "/users", &[BROWSER], "").await.text(), "nrt");
    assert_eq!(testbed.get("/users", &[BROWSER, ("cookie", "edge_from=syd")]).await.text(), "syd");
    assert_eq!(testbed.get("/users", &[BROWSER, ("fly-force-region", "ord")]).await.text(), "ord");
}

#[tokio::test]
async fn a_forced_region_is_the_only_candidate() {
    let testbed = Testbed::start().await;
    let forced = [SYD, ("fly-force-region", "nrt, ord")];
    assert_eq!(testbed.get("/", &forced).await.hops(), "from=syd; instance=nrt");
    let response = testbed.get("/", &[("fly-force-region", "cdg")]).await;
    assert_eq!(
        (response.status, response.text()),
        (503, "no instance can be reached from nrt: no instance runs in the wanted regions\n")
    );
}

#[tokio::test]
async fn a_forced_region_that_is_down_is_not_replaced() {
    let Testbed { ord, edge, nrt: _nrt, syd: _syd, .. } = Testbed::start().await;
    ord.stop().await;
    let forced = [SYD, ("fly-force-region", "ord")];
    let response = fetch(&edge, "GET", "/", &forced, String::new()).await;
    assert_eq!(response.status, 503);
    assert!(
        response.text().starts_with("no instance can be reached from syd: ord (Connection refused"),
        "{}",
        response.text()
    );
}

#[tokio::test]
async fn no_redirect_leads_to_another_host() {
    let testbed = Testbed::start().await;
    for path in ["//evil.example/?from=syd", "/\\evil.example?from=syd"] {
        let response = testbed.get(path, &[]).await;
        assert_eq!((response.status, response.header("location")), (400, None), "{path}");
    }
}
