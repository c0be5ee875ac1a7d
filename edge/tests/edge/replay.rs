//! Tests of `fly-replay` as Fly documents it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use archipelago_edge::{Edge, Instance};
use archipelago_lab::Links;
use http_body_util::channel::Channel;
use hyper::body::Bytes;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::eventually::eventually;
use crate::test_app::{REPLAY_ALWAYS, REPLAY_ONCE, TestApp};
use crate::testbed::{SYD, Testbed, distances, fetch};

#[tokio::test]
async fn a_replay_has_the_whole_request_and_its_source() {
    let testbed = Testbed::start().await;
    let (id, trace) = ("a-1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let ask = [
        SYD,
        (REPLAY_ONCE, "region=nrt;state=captured"),
        ("cookie", "edge_from=ord; a=1"),
        ("x-request-id", id),
        ("traceparent", trace),
    ];
    let response = testbed.send("POST", "/users?x=%20", &ask, "name=Ada").await;
    assert_eq!(
        (response.status, response.text(), response.hops()),
        (200, "nrt", "from=syd; instance=syd; replayed=nrt")
    );
    assert_eq!(response.header("fly-replay"), None);

    let (first, second) = (testbed.syd.only_request(), testbed.nrt.only_request());
    assert_eq!(
        (second.method.as_str(), second.target.as_str(), &second.body[..]),
        ("POST", "/users?x=%20", &b"name=Ada"[..])
    );
    for kept in ["host", "cookie", "fly-region", "fly-request-id", "x-replay-once"] {
        assert_eq!(first.header(kept), second.header(kept), "{kept}");
    }
    for hop in [&first, &second] {
        let sent = ["x-request-id", "traceparent"].map(|name| hop.header(name));
        assert_eq!(sent, [Some(id), Some(trace)]);
    }
    assert_eq!(first.header("fly-replay-src"), None);
    let source = second.header("fly-replay-src").unwrap();
    let (before, after) = source.split_once(";t=").unwrap();
    let (time, state) = after.split_once(';').unwrap();
    assert_eq!((before, state), ("instance=syd;region=syd", "state=captured"));
    let age = SystemTime::now()
        .duration_since(UNIX_EPOCH + Duration::from_micros(time.parse().unwrap()))
        .unwrap();
    assert!(age < Duration::from_mins(1), "{age:?}");
}

#[tokio::test]
async fn every_field_can_name_the_target() {
    let testbed = Testbed::start().await;
    let cases = [
        ("region=ord", "ord"),
        ("REGION=ord", "ord"),
        ("region=\"cdg,ord,nrt\"", "ord"),
        ("region=\"cdg,any\"", "syd"),
        ("region=any", "syd"),
        ("elsewhere=true", "nrt"),
        ("region=any;elsewhere=true", "nrt"),
        ("instance=ord", "ord"),
        ("region=\"nrt,ord\";instance=ord", "ord"),
        ("app=shop", "syd"),
        ("app=shop;region=ord", "ord"),
    ];
    let shop = Testbed::start_with(distances(), |edge| edge.app("shop")).await;
    for (ask, region) in cases {
        let testbed = if ask.contains("app") { &shop } else { &testbed };
        let response = testbed.get("/", &[SYD, (REPLAY_ONCE, ask)]).await;
        assert_eq!((response.status, response.text()), (200, region), "{ask}");
    }
}

#[tokio::test]
async fn a_replay_skips_a_region_that_is_down() {
    let testbed = Testbed::start().await;
    let (edge, address) = (testbed.edge, testbed.nrt.stop().await);
    let response =
        fetch(&edge, "GET", "/", &[SYD, (REPLAY_ONCE, "region=\"nrt,ord\"")], String::new()).await;
    assert_eq!(response.text(), "ord");
    let response =
        fetch(&edge, "GET", "/", &[SYD, (REPLAY_ONCE, "region=nrt")], String::new()).await;
    assert_eq!(response.status, 503);
    assert!(
        response.text().starts_with("no instance can be reached from syd: nrt (Connection refused"),
        "{}",
        response.text()
    );

    let back = TestApp::start_on("nrt", address).await;
    let response =
        fetch(&edge, "GET", "/", &[SYD, (REPLAY_ONCE, "region=nrt")], String::new()).await;
    assert_eq!((response.text(), back.requests().len()), ("nrt", 1));
}

#[tokio::test]
async fn a_replay_that_cannot_be_followed_is_502() {
    let testbed = Testbed::start().await;
    let cases = [
        ("region=nrt,ord", "a list of regions must be quoted"),
        ("region=mars", "unknown place `mars`: the places are ams, "),
        ("region=\"nrt,us\"", "unknown place `us`"),
        ("instance=00bb33ff", "unknown instance `00bb33ff`: the instances are syd, nrt, ord"),
        ("app=other", "unknown app `other`"),
        ("state=x", "no target is given"),
        ("anywhere", "`anywhere` is not a field"),
    ];
    for (ask, why) in cases {
        let response = testbed.get("/", &[SYD, (REPLAY_ONCE, ask)]).await;
        let start = "the fly-replay of the instance in syd cannot be followed: ";
        assert_eq!((response.status, response.hops()), (502, "from=syd; instance=syd"), "{ask}");
        assert!(
            response.text().strip_prefix(start).is_some_and(|given| given.starts_with(why)),
            "{ask}: {}",
            response.text()
        );
    }
    let response = testbed.get("/json", &[SYD]).await;
    assert_eq!(response.status, 502);
    assert!(response.text().contains("the JSON form is not supported"), "{}", response.text());
    assert!(testbed.nrt.requests().is_empty());
}

#[tokio::test]
async fn a_request_is_replayed_once() {
    let testbed = Testbed::start().await;
    let response = testbed.send("POST", "/", &[SYD, (REPLAY_ALWAYS, "region=nrt")], "once").await;
    assert_eq!(response.status, 502);
    let message = "the instance in nrt responded with fly-replay to a request that was already \
                   replayed: a request is replayed once\n";
    assert_eq!(response.text(), message);
    assert_eq!(
        (testbed.syd.requests().len(), testbed.nrt.requests().len(), testbed.ord.requests().len()),
        (1, 1, 0)
    );
}

#[tokio::test]
async fn a_body_over_one_megabyte_is_not_replayed() {
    let testbed = Testbed::start().await;
    let largest: Bytes = (0..=250_u8).cycle().take(1_000_000).collect();
    for path in ["/", "/unread"] {
        let response =
            testbed.send("POST", path, &[SYD, (REPLAY_ONCE, "region=nrt")], largest.clone()).await;
        assert_eq!((response.status, response.text()), (200, "nrt"), "{path}");
        assert!(testbed.nrt.requests().pop().unwrap().body == largest, "{path}");
    }

    let larger = vec![1; 1_000_001];
    for path in ["/", "/unread"] {
        let response =
            testbed.send("POST", path, &[SYD, (REPLAY_ONCE, "region=nrt")], larger.clone()).await;
        assert_eq!(response.status, 502, "{path}");
        assert!(
            response.text().starts_with("the request's body is longer than 1000000 bytes"),
            "{}",
            response.text()
        );
    }
    assert_eq!(testbed.nrt.requests().len(), 2);
    let not_replayed = testbed.send("POST", "/", &[SYD], larger).await;
    assert_eq!((not_replayed.status, not_replayed.text()), (200, "syd"), "it streams");
}

#[tokio::test]
async fn a_body_of_unknown_length_has_the_same_limit() {
    let testbed = Testbed::start().await;
    for (chunks, status) in [(10, 200), (11, 502)] {
        let (mut sender, body) = Channel::<Bytes>::new(1);
        tokio::spawn(async move {
            for _ in 0..chunks {
                if sender.send_data(Bytes::from(vec![5; 100_000])).await.is_err() {
                    return;
                }
            }
        });
        let headers = [SYD, (REPLAY_ONCE, "region=nrt")];
        let response = fetch(&testbed.edge, "POST", "/", &headers, body).await;
        assert_eq!(response.status, status);
    }
    assert_eq!(testbed.nrt.only_request().body.len(), 1_000_000);
}

#[tokio::test]
async fn a_failed_replay_falls_back_to_its_source() {
    let testbed = Testbed::start().await;
    let (edge, syd) = (testbed.edge, testbed.syd);
    testbed.nrt.stop().await;
    for (fallback, method) in [("prefer_self", "POST"), ("force_self", "DELETE")] {
        let ask = format!("region=nrt;timeout=5s;fallback={fallback}");
        let response =
            fetch(&edge, method, "/", &[SYD, (REPLAY_ONCE, &ask)], "body".to_owned()).await;
        assert_eq!(
            (response.status, response.text(), response.hops()),
            (200, "syd", "from=syd; instance=syd; failed=retries_exhausted")
        );
        let received = syd.requests().pop().unwrap();
        assert_eq!(
            (received.method.as_str(), &received.body[..], received.header("fly-replay-src")),
            (method, &b"body"[..], None)
        );
        let failed = received.header("fly-replay-failed").unwrap();
        let (failed, elapsed) = failed.rsplit_once(";elapsed_ms=").unwrap();
        assert_eq!(failed, "instance=nrt;region=nrt;replay_source=syd;reason=retries_exhausted");
        assert!(elapsed.parse::<u64>().unwrap() < 5000);
    }

    let ask = [SYD, (REPLAY_ALWAYS, "region=nrt;fallback=prefer_self")];
    let response = fetch(&edge, "GET", "/", &ask, String::new()).await;
    assert_eq!(response.status, 502, "after a fallback there is no other replay");
    assert!(
        response.text().starts_with(
            "the instance in syd responded with fly-replay to a request that was already replayed"
        ),
        "{}",
        response.text()
    );
}

#[tokio::test]
async fn a_replay_to_a_place_without_instance_falls_back() {
    let testbed = Testbed::start().await;
    let response = testbed.get("/", &[SYD, (REPLAY_ONCE, "region=cdg;fallback=force_self")]).await;
    assert_eq!(response.hops(), "from=syd; instance=syd; failed=no_candidate");
    let received = testbed.syd.requests().pop().unwrap();
    assert!(
        received
            .header("fly-replay-failed")
            .unwrap()
            .starts_with("instance=cdg;region=cdg;replay_source=syd;reason=no_candidate;")
    );
}

#[tokio::test]
async fn timeout_bounds_the_time_to_connect() {
    // A listener whose queue is full completes no handshake.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) =
        timeout(Duration::from_millis(100), TcpStream::connect(address)).await
    {
        waiting.push(stream);
    }

    let syd = TestApp::start("syd").await;
    let nrt = Instance { region: "nrt".to_owned(), address };
    let links = Links::new(distances()).unwrap();
    let edge = Edge::builder(links, [syd.instance(), nrt]).start().await.unwrap();
    let headers = [SYD, (REPLAY_ONCE, "region=nrt;timeout=150ms;fallback=force_self")];
    let response = fetch(&edge, "POST", "/", &headers, String::new()).await;
    assert_eq!((response.status, response.hops()), (200, "from=syd; instance=syd; failed=timeout"));
    let failed = syd.requests().pop().unwrap().header("fly-replay-failed").unwrap().to_owned();
    let elapsed: u64 = failed.rsplit_once('=').unwrap().1.parse().unwrap();
    assert!((150..2000).contains(&elapsed), "{failed}");
}

#[tokio::test]
async fn timeout_bounds_the_response_only_if_idempotent() {
    let testbed = Testbed::start().await;
    let ask = [SYD, (REPLAY_ONCE, "region=nrt;timeout=150ms;fallback=force_self")];
    let response = testbed.get("/", &ask).await;
    assert_eq!(response.hops(), "from=syd; instance=syd; replayed=nrt", "in time");

    // The app in Tokyo does not respond to /slow before it is told to.
    let late = testbed.get("/slow", &[SYD, (REPLAY_ONCE, "region=nrt;timeout=150ms")]).await;
    assert_eq!(late.status, 504);
    assert!(
        late.text().starts_with("the instance in nrt has not responded within 150ms"),
        "{}",
        late.text()
    );

    let write = async { testbed.send("POST", "/slow", &ask, "").await };
    let slow_response = async {
        let has_arrived =
            || testbed.nrt.requests().iter().any(|received| received.method == "POST");
        eventually("the write has arrived", has_arrived).await;
        // Longer than the timeout.
        sleep(Duration::from_millis(400)).await;
        testbed.nrt.go_on();
    };
    let (response, ()) = tokio::join!(write, slow_response);
    assert_eq!(
        (response.text(), response.hops()),
        ("at last", "from=syd; instance=syd; replayed=nrt"),
        "the write is not repeated"
    );
    assert_eq!(
        testbed.syd.requests().iter().filter(|received| received.method == "POST").count(),
        1
    );
}
