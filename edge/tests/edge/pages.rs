//! The edge's own page.

use crate::app::ASK;
use crate::planet::{Planet, distances};

const SYD: (&str, &str) = ("fly-prefer-region", "syd");

#[tokio::test]
async fn it_shows_where_one_stands_and_what_became_of_the_last_requests() {
    let planet = Planet::start().await;
    planet.send("POST", "/users?name=secret", &[SYD, (ASK, "region=nrt")], "secret").await;
    planet.get("/", &[("fly-prefer-region", "cdg"), ("cookie", "a=secret")]).await;
    planet.get("/", &[("fly-force-region", "ams")]).await;
    planet.get("/", &[SYD, (ASK, "region=ams;fallback=force_self")]).await;

    let page = planet.get("/_edge", &[("cookie", "edge_from=syd")]).await;
    assert_eq!((page.status, page.header("cache-control")), (200, Some("no-store")));
    let text = page.text();
    assert!(text.contains("<h1>You stand in Sydney, Australia</h1>"), "{text}");
    assert!(text.contains("href=\"/_edge?from=cdg\""), "{text}");
    let rows: Vec<String> = text.split("<tr>").skip(2).map(words).collect();
    let expected = [
        "GET / syd syd came back: no_candidate 200",
        "GET / nrt – – 503",
        "GET / cdg ord – 200",
        "POST /users syd syd nrt 200",
    ];
    assert_eq!(rows.len(), expected.len(), "{rows:?}");
    for (row, expected) in rows.iter().zip(expected) {
        assert!(row.starts_with(expected) && row.contains(" ms"), "{row}");
    }
    assert!(!text.contains("secret"), "no queries, bodies and cookies");
}

/// What is read of a row.
fn words(row: &str) -> String {
    let row = row.split("</tr>").next().unwrap();
    let text: String = row
        .split('<')
        .filter_map(|tag| tag.split_once('>'))
        .flat_map(|(_, text)| [" ", text])
        .collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn what_a_visitor_wrote_is_text_there() {
    let planet = Planet::start_with(distances(), |edge| edge).await;
    planet.get("/'\"&|a", &[]).await;
    let page = planet.get("/_edge", &[]).await;
    assert!(page.text().contains("GET /&#39;&#34;&#38;|a"), "{}", page.text());
    let page = planet.get("/'\"?from='|&x='", &[("accept", "text/html")]).await;
    assert_eq!(page.status, 400);
    assert!(page.text().contains("`&#39;|` is no place"), "{}", page.text());
    assert!(page.text().contains("href=\"/&#39;&#34;?x=&#39;&#38;from=ams\""), "{}", page.text());
}

#[tokio::test]
async fn nothing_but_its_own_style_may_be_loaded() {
    let planet = Planet::start().await;
    let page = planet.get("/_edge", &[]).await;
    let policy = page.header("content-security-policy").unwrap();
    let nonce = policy.split_once("style-src 'nonce-").unwrap().1.split_once('\'').unwrap().0;
    assert!(policy.starts_with("default-src 'none'; style-src 'nonce-"), "{policy}");
    assert!(page.text().contains(&format!("<style nonce=\"{nonce}\">")));
    let other = planet.get("/_edge", &[]).await;
    assert_ne!(other.header("content-security-policy"), Some(policy));
    assert!(!page.text().contains("<script"));
}

#[tokio::test]
async fn it_is_read_and_moves_whoever_follows_its_links() {
    let planet = Planet::start().await;
    assert_eq!(planet.send("HEAD", "/_edge", &[], "").await.body, "");
    let refused = planet.send("POST", "/_edge", &[], "").await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
    let moved = planet.get("/_edge?from=syd", &[]).await;
    assert_eq!((moved.status, moved.header("location")), (303, Some("/_edge")));
    assert!(planet.nrt.seen().is_empty() && planet.syd.seen().is_empty());
}
