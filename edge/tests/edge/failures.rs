//! Tests with instances that are down, close connections or do not respond, and with cut links.

use std::time::Duration;

use archipelago_edge::{Edge, EdgeError, Instance};
use archipelago_lab::Links;

use crate::test_app::{REPLAY_ONCE, TestApp};
use crate::testbed::{SYD, Testbed, distances, fetch};

const BROWSER: (&str, &str) = ("accept", "text/html");

#[tokio::test]
async fn an_instance_that_is_down_is_skipped() {
    let testbed = Testbed::start().await;
    assert_eq!(testbed.get("/", &[SYD]).await.text(), "syd");
    let (edge, address) = (testbed.edge, testbed.syd.stop().await);
    let response = fetch(&edge, "POST", "/echo", &[SYD], "kept".to_owned()).await;
    assert_eq!((response.text(), response.hops()), ("kept", "from=syd; instance=nrt"));

    let _restarted = TestApp::start_on("syd", address).await;
    let response = fetch(&edge, "POST", "/echo", &[SYD], String::new()).await;
    assert_eq!(response.hops(), "from=syd; instance=syd");
}

#[tokio::test]
async fn if_all_are_down_the_response_lists_every_attempt() {
    let testbed = Testbed::start().await;
    let (edge, links) = (testbed.edge, testbed.links);
    for app in [testbed.nrt, testbed.syd, testbed.ord] {
        app.stop().await;
    }
    links.cut("syd", "ord").unwrap();
    let response = fetch(&edge, "GET", "/", &[SYD], String::new()).await;
    assert_eq!((response.status, response.hops()), (503, "from=syd"));
    for tried in [
        "from syd: syd (Connection refused",
        ", nrt (Connection refused",
        ", ord (the link is cut)",
    ] {
        assert!(response.text().contains(tried), "{}", response.text());
    }
    let page = fetch(&edge, "GET", "/", &[SYD, BROWSER], String::new()).await;
    assert_eq!((page.status, page.header("content-type")), (503, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("ord (the link is cut)"), "{}", page.text());
}

#[tokio::test]
async fn a_region_behind_a_cut_link_is_skipped() {
    let testbed = Testbed::start().await;
    testbed.links.cut("cdg", "ord").unwrap();
    assert_eq!(testbed.get("/", &[("fly-prefer-region", "cdg")]).await.text(), "nrt");
    let response =
        testbed.get("/", &[("fly-prefer-region", "cdg"), ("fly-force-region", "ord")]).await;
    assert_eq!(
        (response.status, response.text()),
        (503, "no instance can be reached from cdg: ord (the link is cut)\n")
    );
    testbed.links.heal("cdg", "ord");
    assert_eq!(testbed.get("/", &[("fly-prefer-region", "cdg")]).await.text(), "ord");
}

#[tokio::test]
async fn a_replay_over_a_cut_link_falls_back() {
    let testbed = Testbed::start().await;
    testbed.links.cut("syd", "nrt").unwrap();
    let response = testbed
        .send(
            "POST",
            "/",
            &[SYD, (REPLAY_ONCE, "region=nrt;timeout=5s;fallback=prefer_self")],
            "written",
        )
        .await;
    assert_eq!(
        (response.status, response.hops()),
        (200, "from=syd; instance=syd; failed=no_candidate")
    );
    assert!(testbed.nrt.requests().is_empty());
}

#[tokio::test]
async fn a_lost_connection_is_retried_only_if_idempotent() {
    let testbed = Testbed::start().await;
    for method in ["POST", "PATCH"] {
        let response = testbed.send(method, "/close", &[SYD], "written").await;
        assert_eq!(response.status, 502, "{method}");
        assert!(
            response.text().starts_with(
                "the instance in syd closed the connection before it responded, and may have"
            ),
            "{}",
            response.text()
        );
    }
    assert_eq!((testbed.syd.requests().len(), testbed.nrt.requests().len()), (2, 0));

    for method in ["GET", "PUT"] {
        let response = testbed.send(method, "/close", &[SYD], "written").await;
        assert_eq!(response.status, 502, "{method}");
        assert!(
            response.text().starts_with("the instance in ord closed the connection"),
            "all three were tried: {}",
            response.text()
        );
    }
    for app in [&testbed.nrt, &testbed.ord] {
        let bodies: Vec<_> =
            app.requests().into_iter().map(|received| (received.method, received.body)).collect();
        assert_eq!(
            bodies,
            [(hyper::Method::GET, "written".into()), (hyper::Method::PUT, "written".into())]
        );
    }
}

#[tokio::test]
async fn no_response_in_time_is_504() {
    let testbed =
        Testbed::start_with(distances(), |edge| edge.response_timeout(Duration::from_millis(200)))
            .await;
    let response = testbed.get("/slow", &[SYD]).await;
    assert_eq!(response.status, 504);
    assert!(
        response.text().starts_with("the instance in syd has not responded within 200ms"),
        "{}",
        response.text()
    );
    assert!(testbed.nrt.requests().is_empty(), "a slow request is not sent elsewhere");
}

#[tokio::test]
async fn an_edge_with_a_wrong_description_does_not_start() {
    let instance =
        |region: &str| Instance { region: region.to_owned(), address: ([127, 0, 0, 1], 1).into() };
    let edge =
        |instances: Vec<Instance>| Edge::builder(Links::new(distances()).unwrap(), instances);
    assert!(matches!(edge(vec![]).start().await, Err(EdgeError::NoInstance)));
    let duplicate = edge(vec![instance("nrt"), instance("nrt")]).start().await;
    assert!(matches!(duplicate, Err(EdgeError::DuplicateRegion { region }) if region == "nrt"));
    for wrong in ["any", "Nrt", "a b", "a\r\nx: y"] {
        let started = edge(vec![instance(wrong)]).start().await;
        assert!(matches!(started, Err(EdgeError::InvalidPlace { code }) if code == wrong));
    }
    let unknown = edge(vec![instance("nrt")]).default_place("mars").start().await;
    assert!(matches!(unknown, Err(EdgeError::UnknownDefaultPlace { code }) if code == "mars"));
    let first = edge(vec![instance("nrt")]).start().await.unwrap();
    let second = edge(vec![instance("nrt")]).listen(first.address()).start().await.unwrap_err();
    assert!(
        second.to_string().contains("stop the program that listens there, or choose another port"),
        "{second}"
    );
}

#[tokio::test]
async fn an_added_place_can_be_the_default() {
    let testbed =
        Testbed::start_with(distances(), |edge| edge.places(["depot"]).default_place("depot"))
            .await;
    assert_eq!(testbed.get("/", &[]).await.hops(), "from=depot; instance=nrt");
}
