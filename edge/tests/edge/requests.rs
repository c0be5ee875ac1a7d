//! Tests of what an instance receives, and of what a visitor gets back.

use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::eventually::eventually;
use crate::test_app::{DEADLINE, REPLAY_ONCE};
use crate::testbed::{SYD, TestResponse, Testbed, fetch, request, send};

#[tokio::test]
async fn forged_fly_headers_are_replaced() {
    let testbed = Testbed::start().await;
    let forged = [
        SYD,
        ("fly-region", "forged"),
        ("fly-client-ip", "6.6.6.6"),
        ("fly-request-id", "forged"),
        ("fly-replay-src", "forged"),
        ("fly-replay-failed", "forged"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "proto=https;host=evil"),
        ("x-forwarded-for", "10.0.0.1"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("te", "trailers"),
        ("upgrade", "h2c"),
        ("x-other", "  as it is"),
    ];
    testbed.get("/?a=%20", &forged).await;
    let received = testbed.syd.only_request();
    assert_eq!(
        (received.target.as_str(), received.header("host")),
        ("/?a=%20", Some("app.example"))
    );
    assert_eq!(
        (received.header("fly-region"), received.header("fly-client-ip")),
        (Some("syd"), Some("127.0.0.1"))
    );
    assert_eq!(received.header("x-forwarded-proto"), Some("http"));
    assert_eq!(received.header("forwarded"), None);
    assert_eq!(received.header("x-forwarded-for"), Some("10.0.0.1, 127.0.0.1"));
    let id = received.header("fly-request-id").unwrap();
    assert!(id.len() == 36 && id.ends_with("-syd"), "{id}");
    for removed in ["fly-replay-src", "fly-replay-failed", "x-hop", "te", "upgrade", "connection"] {
        assert_eq!(received.header(removed), None, "{removed}");
    }
    assert!(received.header("x-other").is_some());
}

#[tokio::test]
async fn hop_by_hop_headers_of_a_response_are_removed() {
    let testbed = Testbed::start().await;
    let response = testbed.get("/hop", &[SYD]).await;
    assert_eq!(response.headers("set-cookie"), ["a=1", "b=2"]);
    assert_eq!((response.header("x-secret"), response.header("keep-alive")), (None, None));
    assert_eq!(response.header("x-region"), Some("syd"));
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let testbed = Testbed::start().await;
    let response = testbed.send("HEAD", "/large", &[], "").await;
    assert_eq!(
        (response.status, response.header("content-length"), response.body.len()),
        (200, Some("20000000"), 0)
    );
}

#[tokio::test]
async fn a_body_in_chunks_arrives_whole() {
    let testbed = Testbed::start().await;
    let (mut sender, body) = Channel::<Bytes>::new(1);
    let sending = tokio::spawn(async move {
        for chunk in ["one ", "two ", "three"] {
            sender.send_data(Bytes::from(chunk)).await.unwrap();
        }
    });
    let response = fetch(&testbed.edge, "POST", "/echo", &[], body).await;
    sending.await.unwrap();
    assert_eq!(response.text(), "one two three");
    assert_eq!(testbed.nrt.only_request().header("content-length"), None);
}

#[tokio::test]
async fn a_body_that_expects_100_continue_is_asked_for() {
    let testbed = Testbed::start().await;
    let mut visitor = TcpStream::connect(testbed.edge.address()).await.unwrap();
    visitor
        .write_all(
            b"POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n",
        )
        .await
        .unwrap();
    let mut interim = vec![0; 25];
    timeout(DEADLINE, visitor.read_exact(&mut interim)).await.unwrap().unwrap();
    assert_eq!(interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    visitor.write_all(b"hi").await.unwrap();
    let mut response = String::new();
    while !response.ends_with("\r\n\r\nhi") {
        let mut some = [0; 1024];
        let count = timeout(DEADLINE, visitor.read(&mut some)).await.unwrap().unwrap();
        assert!(count > 0, "{response}");
        response.push_str(std::str::from_utf8(&some[..count]).unwrap());
    }
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
}

fn stream_request() -> Request<Full<Bytes>> {
    request("GET", "/stream", &[], Full::default())
}

#[tokio::test]
async fn a_response_streams() {
    let testbed = Testbed::start().await;
    let response = send(testbed.edge.address(), stream_request()).await;
    let mut body = response.into_body();
    let first = timeout(DEADLINE, body.frame()).await.unwrap().unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "first ");
    testbed.nrt.go_on();
    assert_eq!(timeout(DEADLINE, body.collect()).await.unwrap().unwrap().to_bytes(), "last");
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let testbed = Testbed::start().await;
    assert_eq!(testbed.get("/large", &[]).await.body.len(), 20_000_000);
    let body = Bytes::from(vec![9; 20_000_000]);
    assert!(testbed.send("POST", "/echo", &[], body.clone()).await.body == body);
}

#[tokio::test]
async fn websockets_tunnels_and_long_heads_are_refused() {
    let testbed = Testbed::start().await;
    let response = testbed.get("/", &[("connection", "upgrade"), ("upgrade", "websocket")]).await;
    assert_eq!(response.status, 501);
    assert!(response.text().contains("no websockets"), "{}", response.text());

    for (start, status) in
        [("CONNECT a.example:443 HTTP/1.1\r\n\r\n".to_owned(), "501"), (long_head(), "431")]
    {
        let mut visitor = TcpStream::connect(testbed.edge.address()).await.unwrap();
        visitor.write_all(start.as_bytes()).await.unwrap();
        let mut response = [0; 12];
        timeout(DEADLINE, visitor.read_exact(&mut response)).await.unwrap().unwrap();
        assert_eq!(std::str::from_utf8(&response).unwrap(), format!("HTTP/1.1 {status}"));
    }
    assert!(testbed.nrt.requests().is_empty());
}

fn long_head() -> String {
    format!("GET / HTTP/1.1\r\nhost: a\r\ncookie: {}\r\n\r\n", "a".repeat(100_000))
}

#[tokio::test]
async fn a_request_without_host_gets_the_edges_address() {
    let testbed = Testbed::start().await;
    let mut visitor = TcpStream::connect(testbed.edge.address()).await.unwrap();
    visitor.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut response = String::new();
    timeout(DEADLINE, visitor.read_to_string(&mut response)).await.unwrap().unwrap();
    assert!(response.starts_with("HTTP/1.0 200 OK\r\n") && response.ends_with("nrt"), "{response}");
    assert_eq!(
        testbed.nrt.only_request().header("host"),
        Some(testbed.edge.address().to_string().as_str())
    );
}

#[tokio::test]
async fn connections_to_an_instance_are_reused() {
    let testbed = Testbed::start().await;
    for _ in 0..20 {
        testbed.get("/", &[]).await;
    }
    assert_eq!(testbed.nrt.requests().len(), 20);
    assert!(testbed.nrt.connections() < 5, "{}", testbed.nrt.connections());
}

#[tokio::test]
async fn a_hundred_visitors_at_once() {
    let testbed = Testbed::start().await;
    let places = ["nrt", "syd", "ord", "cdg"];
    let visits = (0..100).map(|at| {
        let (edge, place) = (testbed.edge.address(), places[at % 4]);
        tokio::spawn(async move {
            let target = format!("/{at}");
            let headers = [("fly-prefer-region", place), (REPLAY_ONCE, "region=nrt")];
            let method = if at % 2 == 0 { "GET" } else { "POST" };
            TestResponse::read(
                send(edge, request(method, &target, &headers, Full::<Bytes>::from(vec![1; 5000])))
                    .await,
            )
            .await
        })
    });
    for visit in visits.collect::<Vec<_>>() {
        let response = timeout(DEADLINE, visit).await.unwrap().unwrap();
        assert_eq!((response.status, response.text()), (200, "nrt"));
    }
    let arrived = testbed
        .nrt
        .requests()
        .into_iter()
        .filter(|received| received.headers.contains_key("fly-replay-src"));
    let mut arrived: Vec<usize> =
        arrived.map(|received| received.target[1..].parse().unwrap()).collect();
    arrived.sort_unstable();
    assert_eq!(arrived, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_request_is_dropped_when_its_visitor_leaves() {
    let testbed = Testbed::start().await;
    let mut visitor = TcpStream::connect(testbed.edge.address()).await.unwrap();
    visitor.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    eventually("the app has the request", || !testbed.nrt.requests().is_empty()).await;
    drop(visitor);
    timeout(DEADLINE, testbed.nrt.dropped()).await.unwrap();
}

#[tokio::test]
async fn shutdown_waits_for_requests_in_flight() {
    let testbed = Testbed::start().await;
    let response = send(testbed.edge.address(), stream_request()).await;
    let address = testbed.edge.address();
    let end = tokio::spawn(testbed.edge.shutdown());
    eventually("the edge no longer listens", || std::net::TcpStream::connect(address).is_err())
        .await;
    testbed.nrt.go_on();
    assert_eq!(TestResponse::read(response).await.text(), "first last");
    timeout(DEADLINE, end).await.unwrap().unwrap();
}

#[tokio::test]
async fn drop_aborts_requests_in_flight() {
    let testbed = Testbed::start().await;
    let response = send(testbed.edge.address(), stream_request()).await;
    drop(testbed.edge);
    assert!(timeout(DEADLINE, response.into_body().collect()).await.unwrap().is_err());
}
