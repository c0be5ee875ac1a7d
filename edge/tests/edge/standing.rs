//! Where a visitor stands, and who serves from there.

use crate::planet::{Answer, Planet, request, send};

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");

#[tokio::test]
async fn a_header_holds_for_its_request_only() {
    let planet = Planet::start().await;
    let answer = planet.get("/", &[("fly-prefer-region", "syd")]).await;
    assert_eq!((answer.text(), answer.done()), ("syd", "from=syd; instance=syd"));
    assert_eq!(answer.headers("set-cookie"), Vec::<&str>::new());
    assert_eq!(planet.get("/", &[]).await.text(), "nrt", "the default place");
}

#[tokio::test]
async fn the_first_of_a_list_is_where_one_stands_and_the_next_is_tried_next() {
    let planet = Planet::start().await;
    let answer = planet.get("/", &[("fly-prefer-region", "cdg, syd")]).await;
    assert_eq!(answer.done(), "from=cdg; instance=syd");
}

#[tokio::test]
async fn a_place_without_an_instance_is_served_by_the_nearest() {
    let planet = Planet::start().await;
    let answer = planet.get("/", &[("fly-prefer-region", "cdg")]).await;
    assert_eq!((answer.text(), answer.done()), ("ord", "from=cdg; instance=ord"));
    assert_eq!(planet.ord.only().header("fly-region"), Some("cdg"));
}

#[tokio::test]
async fn a_link_is_followed_once_and_leaves_a_cookie() {
    let planet = Planet::start().await;
    let answer = planet.get("/a?x=1&from=syd&y=%20", &[]).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/a?x=1&y=%20")));
    assert_eq!(answer.header("set-cookie"), Some("edge_from=syd; Path=/; HttpOnly; SameSite=Lax"));
    assert!(planet.nrt.seen().is_empty() && planet.syd.seen().is_empty());

    let answer = planet.get("/a?x=1&y=%20", &[("cookie", "a=\"1 2\"; edge_from=syd; b")]).await;
    assert_eq!(answer.text(), "syd");
    let seen = planet.syd.only();
    assert_eq!(
        (seen.target.as_str(), seen.header("cookie")),
        ("/a?x=1&y=%20", Some("a=\"1 2\"; b"))
    );
}

#[tokio::test]
async fn a_write_by_a_link_goes_on_at_once_and_brings_the_cookie() {
    let planet = Planet::start().await;
    let answer = planet.send("POST", "/a?from=syd&y=%20", &[], "written").await;
    assert_eq!((answer.status, answer.text()), (200, "syd"));
    assert_eq!(answer.header("set-cookie"), Some("edge_from=syd; Path=/; HttpOnly; SameSite=Lax"));
    let seen = planet.syd.only();
    assert_eq!((seen.target.as_str(), &seen.body[..]), ("/a?y=%20", &b"written"[..]));
}

#[tokio::test]
async fn a_header_outdoes_a_link_and_a_link_a_cookie() {
    let planet = Planet::start().await;
    let answer = planet
        .get("/a?from=syd", &[("fly-prefer-region", "ord"), ("cookie", "edge_from=nrt")])
        .await;
    assert_eq!((answer.status, answer.text()), (200, "ord"));
    assert_eq!(
        (planet.ord.only().target.as_str(), planet.ord.only().header("cookie")),
        ("/a", None)
    );

    let answer = planet.send("POST", "/a?from=syd", &[("cookie", "edge_from=nrt")], "").await;
    assert_eq!(answer.text(), "syd");
}

#[tokio::test]
async fn an_unknown_place_is_refused_with_all_that_are_known() {
    let planet = Planet::start().await;
    for answer in [
        planet.get("/?from=mars", &[]).await,
        planet.get("/", &[("fly-prefer-region", "mars")]).await,
    ] {
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (400, Some("text/plain; charset=utf-8"))
        );
        assert!(
            answer
                .text()
                .starts_with("`mars` is no place that the edge knows: the places are ams, arn, "),
            "{}",
            answer.text()
        );
    }
    let page = planet.get("/a?from=mars&x=1", &[BROWSER]).await;
    assert_eq!((page.status, page.header("content-type")), (400, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("href=\"/a?x=1&#38;from=syd\""), "{}", page.text());
    assert!(planet.nrt.seen().is_empty());
}

#[tokio::test]
async fn a_cookie_of_another_planet_is_passed_over() {
    let planet = Planet::start().await;
    assert_eq!(planet.get("/", &[("cookie", "edge_from=mars")]).await.text(), "nrt");
}

#[tokio::test]
async fn a_browser_that_has_not_said_is_asked() {
    let planet = Planet::start().await;
    let page = planet.get("/users?page=2", &[BROWSER]).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("<h1>Where on Earth do you stand?</h1>"), "{}", page.text());
    assert!(page.text().contains("href=\"/users?page=2&#38;from=cdg\""), "{}", page.text());
    assert!(page.text().contains("1 ms to ord"), "{}", page.text());
    assert!(planet.nrt.seen().is_empty());

    // What a page brings with it is not a page, and what is written is not asked about.
    assert_eq!(
        planet.get("/style.css", &[BROWSER, ("sec-fetch-mode", "no-cors")]).await.text(),
        "nrt"
    );
    assert_eq!(planet.send("POST", "/users", &[BROWSER], "").await.text(), "nrt");
    assert_eq!(planet.get("/users", &[BROWSER, ("cookie", "edge_from=syd")]).await.text(), "syd");
    assert_eq!(planet.get("/users", &[BROWSER, ("fly-force-region", "ord")]).await.text(), "ord");
}

#[tokio::test]
async fn a_forced_region_leaves_no_choice() {
    let planet = Planet::start().await;
    let forced = [("fly-prefer-region", "syd"), ("fly-force-region", "nrt, ord")];
    assert_eq!(planet.get("/", &forced).await.done(), "from=syd; instance=nrt");
    let answer = planet.get("/", &[("fly-force-region", "cdg")]).await;
    assert_eq!(
        (answer.status, answer.text()),
        (503, "no instance can be reached from nrt: there is none where it was to go\n")
    );
}

#[tokio::test]
async fn a_forced_region_that_is_down_is_not_replaced() {
    let Planet { ord, edge, nrt: _nrt, syd: _syd, .. } = Planet::start().await;
    ord.stop().await;
    let forced = request(
        "GET",
        "/",
        &[("fly-prefer-region", "syd"), ("fly-force-region", "ord")],
        String::new(),
    );
    let answer = Answer::read(send(edge.address(), forced).await).await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.text().starts_with("no instance can be reached from syd: ord (Connection refused"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn nobody_is_sent_to_another_host() {
    let planet = Planet::start().await;
    for path in ["//evil.example/?from=syd", "/\\evil.example?from=syd"] {
        let answer = planet.get(path, &[]).await;
        assert_eq!((answer.status, answer.header("location")), (400, None), "{path}");
    }
}
