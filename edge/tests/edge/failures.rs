//! Instances that are gone, break off or say nothing, and lines that are cut.

use std::time::Duration;

use archipelago_edge::{Edge, EdgeError, Instance};
use archipelago_lab::Links;

use crate::app::{ASK, App};
use crate::planet::{Answer, Planet, distances, request, send};

const SYD: (&str, &str) = ("fly-prefer-region", "syd");
const BROWSER: (&str, &str) = ("accept", "text/html");

#[tokio::test]
async fn an_instance_that_is_down_is_passed_over_until_it_is_back() {
    let planet = Planet::start().await;
    assert_eq!(planet.get("/", &[SYD]).await.text(), "syd");
    let (edge, address) = (planet.edge, planet.syd.stop().await);
    let visit = |method: &'static str, body: &str| {
        let request = request(method, "/echo", &[SYD], body.to_owned());
        let edge = edge.address();
        async move { Answer::read(send(edge, request).await).await }
    };
    let answer = visit("POST", "kept").await;
    assert_eq!((answer.text(), answer.done()), ("kept", "from=syd; instance=nrt"));

    let _back = App::start_on("syd", address).await;
    assert_eq!(visit("POST", "").await.done(), "from=syd; instance=syd");
}

#[tokio::test]
async fn where_nobody_is_up_the_answer_says_who_was_tried() {
    let planet = Planet::start().await;
    let (edge, lines) = (planet.edge, planet.lines);
    for app in [planet.nrt, planet.syd, planet.ord] {
        app.stop().await;
    }
    lines.cut("syd", "ord").unwrap();
    let answer =
        Answer::read(send(edge.address(), request("GET", "/", &[SYD], String::new())).await).await;
    assert_eq!((answer.status, answer.done()), (503, "from=syd"));
    for tried in [
        "from syd: syd (Connection refused",
        ", nrt (Connection refused",
        ", ord (the line is cut)",
    ] {
        assert!(answer.text().contains(tried), "{}", answer.text());
    }
    let page = Answer::read(
        send(edge.address(), request("GET", "/", &[SYD, BROWSER], String::new())).await,
    )
    .await;
    assert_eq!((page.status, page.header("content-type")), (503, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("ord (the line is cut)"), "{}", page.text());
}

#[tokio::test]
async fn a_region_behind_a_cut_line_is_not_chosen() {
    let planet = Planet::start().await;
    planet.lines.cut("cdg", "ord").unwrap();
    assert_eq!(planet.get("/", &[("fly-prefer-region", "cdg")]).await.text(), "nrt");
    let answer =
        planet.get("/", &[("fly-prefer-region", "cdg"), ("fly-force-region", "ord")]).await;
    assert_eq!(
        (answer.status, answer.text()),
        (503, "no instance can be reached from cdg: ord (the line is cut)\n")
    );
    planet.lines.heal("cdg", "ord");
    assert_eq!(planet.get("/", &[("fly-prefer-region", "cdg")]).await.text(), "ord");
}

#[tokio::test]
async fn a_replay_over_a_cut_line_comes_back() {
    let planet = Planet::start().await;
    planet.lines.cut("syd", "nrt").unwrap();
    let answer = planet
        .send("POST", "/", &[SYD, (ASK, "region=nrt;timeout=5s;fallback=prefer_self")], "written")
        .await;
    assert_eq!(
        (answer.status, answer.done()),
        (200, "from=syd; instance=syd; failed=no_candidate")
    );
    assert!(planet.nrt.seen().is_empty());
}

#[tokio::test]
async fn who_breaks_off_is_passed_over_where_the_request_may_be_made_twice() {
    let planet = Planet::start().await;
    for method in ["POST", "PATCH"] {
        let answer = planet.send(method, "/break", &[SYD], "written").await;
        assert_eq!(answer.status, 502, "{method}");
        assert!(
            answer
                .text()
                .starts_with("the instance in syd broke off before it answered, and may have done"),
            "{}",
            answer.text()
        );
    }
    assert_eq!((planet.syd.seen().len(), planet.nrt.seen().len()), (2, 0));

    for method in ["GET", "PUT"] {
        let answer = planet.send(method, "/break", &[SYD], "written").await;
        assert_eq!(answer.status, 502, "{method}");
        assert!(
            answer.text().starts_with("the instance in ord broke off"),
            "the last of three: {}",
            answer.text()
        );
    }
    for app in [&planet.nrt, &planet.ord] {
        let bodies: Vec<_> = app.seen().into_iter().map(|seen| (seen.method, seen.body)).collect();
        assert_eq!(
            bodies,
            [(hyper::Method::GET, "written".into()), (hyper::Method::PUT, "written".into())]
        );
    }
}

#[tokio::test]
async fn who_says_nothing_is_given_up() {
    let planet =
        Planet::start_with(distances(), |edge| edge.answer_within(Duration::from_millis(200)))
            .await;
    let answer = planet.get("/slow", &[SYD]).await;
    assert_eq!(answer.status, 504);
    assert!(
        answer.text().starts_with("the instance in syd has not answered within 200ms"),
        "{}",
        answer.text()
    );
    assert!(planet.nrt.seen().is_empty(), "a slow request is not made slow for others");
}

#[tokio::test]
async fn an_edge_that_cannot_work_does_not_start() {
    let instance =
        |region: &str| Instance { region: region.to_owned(), address: ([127, 0, 0, 1], 1).into() };
    let edge =
        |instances: Vec<Instance>| Edge::builder(Links::new(distances()).unwrap(), instances);
    assert!(matches!(edge(vec![]).start().await, Err(EdgeError::NoInstance)));
    let twice = edge(vec![instance("nrt"), instance("nrt")]).start().await;
    assert!(matches!(twice, Err(EdgeError::InstanceTwice { region }) if region == "nrt"));
    for name in ["any", "Nrt", "a b", "a\r\nx: y"] {
        assert!(
            matches!(edge(vec![instance(name)]).start().await, Err(EdgeError::PlaceName { name: given }) if given == name)
        );
    }
    let nowhere = edge(vec![instance("nrt")]).default_place("mars").start().await;
    assert!(matches!(nowhere, Err(EdgeError::DefaultPlace { name }) if name == "mars"));
    let first = edge(vec![instance("nrt")]).start().await.unwrap();
    let second = edge(vec![instance("nrt")]).listen(first.address()).start().await.unwrap_err();
    assert!(
        second.to_string().contains("stop what listens there, or choose another port"),
        "{second}"
    );
}

#[tokio::test]
async fn places_of_ones_own_can_be_stood_in() {
    let planet =
        Planet::start_with(distances(), |edge| edge.places(["depot"]).default_place("depot")).await;
    assert_eq!(planet.get("/", &[]).await.done(), "from=depot; instance=nrt");
}
