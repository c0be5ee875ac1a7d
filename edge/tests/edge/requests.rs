//! What arrives at an instance, and what comes back.

use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::app::SOON;
use crate::eventually::eventually;
use crate::planet::{Answer, Planet, request, send};

#[tokio::test]
async fn an_instance_is_told_what_fly_would_tell_it_and_nothing_that_a_visitor_made_up() {
    let planet = Planet::start().await;
    let forged = [
        ("fly-prefer-region", "syd"),
        ("fly-region", "forged"),
        ("fly-client-ip", "6.6.6.6"),
        ("fly-request-id", "forged"),
        ("fly-replay-src", "forged"),
        ("fly-replay-failed", "forged"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "10.0.0.1"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("te", "trailers"),
        ("upgrade", "h2c"),
        ("x-kept", "  as it is"),
    ];
    planet.get("/?a=%20", &forged).await;
    let seen = planet.syd.only();
    assert_eq!((seen.target.as_str(), seen.header("host")), ("/?a=%20", Some("planet.example")));
    assert_eq!(
        (seen.header("fly-region"), seen.header("fly-client-ip")),
        (Some("syd"), Some("127.0.0.1"))
    );
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-for"), Some("10.0.0.1, 127.0.0.1"));
    let id = seen.header("fly-request-id").unwrap();
    assert!(id.len() == 36 && id.ends_with("-syd"), "{id}");
    for gone in ["fly-replay-src", "fly-replay-failed", "x-hop", "te", "upgrade", "connection"] {
        assert_eq!(seen.header(gone), None, "{gone}");
    }
    assert!(seen.header("x-kept").is_some());
}

#[tokio::test]
async fn an_answer_comes_back_as_it_was_but_for_what_concerns_its_connection() {
    let planet = Planet::start().await;
    let answer = planet.get("/hop", &[("fly-prefer-region", "syd")]).await;
    assert_eq!(answer.headers("set-cookie"), ["a=1", "b=2"]);
    assert_eq!((answer.header("x-secret"), answer.header("keep-alive")), (None, None));
    assert_eq!(answer.header("x-region"), Some("syd"));
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let planet = Planet::start().await;
    let answer = planet.send("HEAD", "/large", &[], "").await;
    assert_eq!(
        (answer.status, answer.header("content-length"), answer.body.len()),
        (200, Some("20000000"), 0)
    );
}

#[tokio::test]
async fn a_body_in_chunks_arrives_whole() {
    let planet = Planet::start().await;
    let (mut sender, body) = Channel::<Bytes>::new(1);
    let sending = tokio::spawn(async move {
        for chunk in ["one ", "two ", "three"] {
            sender.send_data(Bytes::from(chunk)).await.unwrap();
        }
    });
    let answer =
        Answer::read(send(planet.edge.address(), request("POST", "/echo", &[], body)).await).await;
    sending.await.unwrap();
    assert_eq!(answer.text(), "one two three");
    assert_eq!(planet.nrt.only().header("content-length"), None);
}

#[tokio::test]
async fn a_body_that_waits_for_100_is_asked_for() {
    let planet = Planet::start().await;
    let mut visitor = TcpStream::connect(planet.edge.address()).await.unwrap();
    visitor
        .write_all(
            b"POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n",
        )
        .await
        .unwrap();
    let mut said = vec![0; 25];
    timeout(SOON, visitor.read_exact(&mut said)).await.unwrap().unwrap();
    assert_eq!(said, b"HTTP/1.1 100 Continue\r\n\r\n");
    visitor.write_all(b"hi").await.unwrap();
    let mut said = String::new();
    while !said.ends_with("\r\n\r\nhi") {
        let mut some = [0; 1024];
        let count = timeout(SOON, visitor.read(&mut some)).await.unwrap().unwrap();
        assert!(count > 0, "{said}");
        said.push_str(std::str::from_utf8(&some[..count]).unwrap());
    }
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
}

#[tokio::test]
async fn an_answer_begins_before_it_has_ended() {
    let planet = Planet::start().await;
    let response =
        send(planet.edge.address(), request("GET", "/stream", &[], Full::<Bytes>::default())).await;
    let mut body = response.into_body();
    let first = timeout(SOON, body.frame()).await.unwrap().unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "first ");
    planet.nrt.go();
    assert_eq!(timeout(SOON, body.collect()).await.unwrap().unwrap().to_bytes(), "last");
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let planet = Planet::start().await;
    assert_eq!(planet.get("/large", &[]).await.body.len(), 20_000_000);
    let body = Bytes::from(vec![9; 20_000_000]);
    assert!(planet.send("POST", "/echo", &[], body.clone()).await.body == body);
}

#[tokio::test]
async fn websockets_tunnels_and_endless_heads_are_refused() {
    let planet = Planet::start().await;
    let answer = planet.get("/", &[("connection", "upgrade"), ("upgrade", "websocket")]).await;
    assert_eq!(answer.status, 501);
    assert!(answer.text().contains("no websockets"), "{}", answer.text());

    for (start, status) in
        [("CONNECT a.example:443 HTTP/1.1\r\n\r\n".to_owned(), "501"), (long_head(), "431")]
    {
        let mut visitor = TcpStream::connect(planet.edge.address()).await.unwrap();
        visitor.write_all(start.as_bytes()).await.unwrap();
        let mut said = [0; 12];
        timeout(SOON, visitor.read_exact(&mut said)).await.unwrap().unwrap();
        assert_eq!(std::str::from_utf8(&said).unwrap(), format!("HTTP/1.1 {status}"));
    }
    assert!(planet.nrt.seen().is_empty());
}

fn long_head() -> String {
    format!("GET / HTTP/1.1\r\nhost: a\r\ncookie: {}\r\n\r\n", "a".repeat(100_000))
}

#[tokio::test]
async fn a_visitor_without_a_host_gets_the_edges_own() {
    let planet = Planet::start().await;
    let mut visitor = TcpStream::connect(planet.edge.address()).await.unwrap();
    visitor.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut said = String::new();
    timeout(SOON, visitor.read_to_string(&mut said)).await.unwrap().unwrap();
    assert!(said.starts_with("HTTP/1.0 200 OK\r\n") && said.ends_with("nrt"), "{said}");
    assert_eq!(planet.nrt.only().header("host"), Some(planet.edge.address().to_string().as_str()));
}

#[tokio::test]
async fn connections_to_an_instance_are_used_again() {
    let planet = Planet::start().await;
    for _ in 0..20 {
        planet.get("/", &[]).await;
    }
    assert_eq!(planet.nrt.seen().len(), 20);
    assert!(planet.nrt.connections() < 5, "{}", planet.nrt.connections());
}

#[tokio::test]
async fn a_hundred_visitors_at_once() {
    let planet = Planet::start().await;
    let places = ["nrt", "syd", "ord", "cdg"];
    let visits = (0..100).map(|at| {
        let (edge, place) = (planet.edge.address(), places[at % 4]);
        tokio::spawn(async move {
            let target = format!("/{at}");
            let headers = [("fly-prefer-region", place), ("x-ask", "region=nrt")];
            let method = if at % 2 == 0 { "GET" } else { "POST" };
            Answer::read(
                send(edge, request(method, &target, &headers, Full::<Bytes>::from(vec![1; 5000])))
                    .await,
            )
            .await
        })
    });
    for visit in visits.collect::<Vec<_>>() {
        let answer = timeout(SOON, visit).await.unwrap().unwrap();
        assert_eq!((answer.status, answer.text()), (200, "nrt"));
    }
    let arrived =
        planet.nrt.seen().into_iter().filter(|seen| seen.headers.contains_key("fly-replay-src"));
    let mut arrived: Vec<usize> = arrived.map(|seen| seen.target[1..].parse().unwrap()).collect();
    arrived.sort_unstable();
    assert_eq!(arrived, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_visitor_who_goes_away_is_not_worked_for() {
    let planet = Planet::start().await;
    let mut visitor = TcpStream::connect(planet.edge.address()).await.unwrap();
    visitor.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    eventually("the instance is at work", || !planet.nrt.seen().is_empty()).await;
    drop(visitor);
    timeout(SOON, planet.nrt.dropped()).await.unwrap();
}

#[tokio::test]
async fn at_the_end_requests_in_flight_are_done_first() {
    let planet = Planet::start().await;
    let response =
        send(planet.edge.address(), request("GET", "/stream", &[], Full::<Bytes>::default())).await;
    let address = planet.edge.address();
    let end = tokio::spawn(planet.edge.shutdown());
    eventually("the edge listens no more", || std::net::TcpStream::connect(address).is_err()).await;
    planet.nrt.go();
    assert_eq!(Answer::read(response).await.text(), "first last");
    timeout(SOON, end).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_edge_that_is_dropped_cuts_off_what_is_in_flight() {
    let planet = Planet::start().await;
    let response =
        send(planet.edge.address(), request("GET", "/stream", &[], Full::<Bytes>::default())).await;
    drop(planet.edge);
    assert!(timeout(SOON, response.into_body().collect()).await.unwrap().is_err());
}
