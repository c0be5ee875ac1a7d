//! Tests of the edge's own pages.

use crate::test_app::REPLAY_ONCE;
use crate::testbed::{SYD, Testbed, distances};

#[tokio::test]
async fn status_shows_the_place_and_the_last_requests() {
    let testbed = Testbed::start().await;
    testbed.send("POST", "/users?name=secret", &[SYD, (REPLAY_ONCE, "region=nrt")], "secret").await;
    testbed.get("/", &[("fly-prefer-region", "cdg"), ("cookie", "a=secret")]).await;
    testbed.get("/", &[("fly-force-region", "ams")]).await;
    testbed.get("/", &[SYD, (REPLAY_ONCE, "region=ams;fallback=force_self")]).await;

    let page = testbed.get("/_edge", &[("cookie", "edge_from=syd")]).await;
    assert_eq!((page.status, page.header("cache-control")), (200, Some("no-store")));
    let text = page.text();
    assert!(text.contains("<h1>You stand in Sydney, Australia</h1>"), "{text}");
    assert!(text.contains("href=\"/_edge?from=cdg\""), "{text}");
    let rows: Vec<String> = text.split("<tr>").skip(2).map(words).collect();
    let expected = [
        "GET / syd syd failed: no_candidate 200",
        "GET / nrt – – 503",
        "GET / cdg ord – 200",
        "POST /users syd syd nrt 200",
    ];
    assert_eq!(rows.len(), expected.len(), "{rows:?}");
    for (row, expected) in rows.iter().zip(expected) {
        assert!(row.starts_with(expected) && row.contains(" ms"), "{row}");
    }
    assert!(!text.contains("secret"), "queries, bodies and cookies are not logged");
}

/// The text of a row.
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
async fn visitor_input_is_escaped() {
    let testbed = Testbed::start_with(distances(), |edge| edge).await;
    testbed.get("/'\"&|a", &[]).await;
    let page = testbed.get("/_edge", &[]).await;
    assert!(page.text().contains("GET /&#39;&#34;&#38;|a"), "{}", page.text());
    let page = testbed.get("/'\"?from='|&x='", &[("accept", "text/html")]).await;
    assert_eq!(page.status, 400);
    assert!(page.text().contains("unknown place `&#39;|`"), "{}", page.text());
    assert!(page.text().contains("href=\"/&#39;&#34;?x=&#39;&#38;from=ams\""), "{}", page.text());
}

#[tokio::test]
async fn the_policy_allows_nothing_but_the_style() {
    let testbed = Testbed::start().await;
    let page = testbed.get("/_edge", &[]).await;
    let policy = page.header("content-security-policy").unwrap();
    let nonce = policy.split_once("style-src 'nonce-").unwrap().1.split_once('\'').unwrap().0;
    assert!(policy.starts_with("default-src 'none'; style-src 'nonce-"), "{policy}");
    assert!(page.text().contains(&format!("<style nonce=\"{nonce}\">")));
    let other = testbed.get("/_edge", &[]).await;
    assert_ne!(other.header("content-security-policy"), Some(policy));
    assert!(!page.text().contains("<script"));
}

#[tokio::test]
async fn status_is_read_only_and_its_links_set_the_place() {
    let testbed = Testbed::start().await;
    assert_eq!(testbed.send("HEAD", "/_edge", &[], "").await.body, "");
    let refused = testbed.send("POST", "/_edge", &[], "").await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
    let moved = testbed.get("/_edge?from=syd", &[]).await;
    assert_eq!((moved.status, moved.header("location")), (303, Some("/_edge")));
    assert!(testbed.nrt.requests().is_empty() && testbed.syd.requests().is_empty());
}
