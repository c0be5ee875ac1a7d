//! `fly-replay`, as Fly's documentation has it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::channel::Channel;
use hyper::body::Bytes;
use tokio::net::TcpSocket;

use crate::app::{ASK, App, INSIST};
use crate::planet::{Answer, Planet, distances, request, send};

const SYD: (&str, &str) = ("fly-prefer-region", "syd");

#[tokio::test]
async fn a_replay_goes_to_the_region_it_names_with_everything_and_where_it_came_from() {
    let planet = Planet::start().await;
    let ask = [SYD, (ASK, "region=nrt;state=captured"), ("cookie", "edge_from=ord; a=1")];
    let answer = planet.send("POST", "/users?x=%20", &ask, "name=Ada").await;
    assert_eq!(
        (answer.status, answer.text(), answer.done()),
        (200, "nrt", "from=syd; instance=syd; replayed=nrt")
    );
    assert_eq!(answer.header("fly-replay"), None);

    let (first, second) = (planet.syd.only(), planet.nrt.only());
    assert_eq!(
        (second.method.as_str(), second.target.as_str(), &second.body[..]),
        ("POST", "/users?x=%20", &b"name=Ada"[..])
    );
    for kept in ["host", "cookie", "fly-region", "fly-request-id", "x-ask"] {
        assert_eq!(first.header(kept), second.header(kept), "{kept}");
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
async fn every_way_to_name_a_target() {
    let planet = Planet::start().await;
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
    let shop = Planet::start_with(distances(), |edge| edge.app("shop")).await;
    for (ask, region) in cases {
        let planet = if ask.contains("app") { &shop } else { &planet };
        let answer = planet.get("/", &[SYD, (ASK, ask)]).await;
        assert_eq!((answer.status, answer.text()), (200, region), "{ask}");
    }
}

#[tokio::test]
async fn a_region_that_is_down_is_passed_over_in_a_list() {
    let planet = Planet::start().await;
    let (edge, address) = (planet.edge, planet.nrt.stop().await);
    let answer = Answer::read(
        send(
            edge.address(),
            request("GET", "/", &[SYD, (ASK, "region=\"nrt,ord\"")], String::new()),
        )
        .await,
    )
    .await;
    assert_eq!(answer.text(), "ord");
    let answer = Answer::read(
        send(edge.address(), request("GET", "/", &[SYD, (ASK, "region=nrt")], String::new())).await,
    )
    .await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.text().starts_with("no instance can be reached from syd: nrt (Connection refused"),
        "{}",
        answer.text()
    );

    let back = App::start_on("nrt", address).await;
    let answer = Answer::read(
        send(edge.address(), request("GET", "/", &[SYD, (ASK, "region=nrt")], String::new())).await,
    )
    .await;
    assert_eq!((answer.text(), back.seen().len()), ("nrt", 1));
}

#[tokio::test]
async fn what_cannot_be_obeyed_is_an_error_that_says_why() {
    let planet = Planet::start().await;
    let cases = [
        ("region=nrt,ord", "a list of regions must be quoted"),
        ("region=mars", "`mars` is no place that the edge knows: the places are ams, "),
        ("region=\"nrt,us\"", "`us` is no place that the edge knows"),
        ("instance=00bb33ff", "`00bb33ff` is no instance: the instances are syd, nrt, ord"),
        ("app=other", "the edge does not stand in front of the app `other`"),
        ("state=x", "it does not say where to"),
        ("anywhere", "`anywhere` is no field"),
    ];
    for (ask, why) in cases {
        let answer = planet.get("/", &[SYD, (ASK, ask)]).await;
        let start = "the fly-replay of the instance in syd cannot be obeyed: ";
        assert_eq!((answer.status, answer.done()), (502, "from=syd; instance=syd"), "{ask}");
        assert!(
            answer.text().strip_prefix(start).is_some_and(|said| said.starts_with(why)),
            "{ask}: {}",
            answer.text()
        );
    }
    let answer = planet.get("/json", &[SYD]).await;
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("it is in JSON"), "{}", answer.text());
    assert!(planet.nrt.seen().is_empty());
}

#[tokio::test]
async fn a_replay_is_replayed_no_further() {
    let planet = Planet::start().await;
    let answer = planet.send("POST", "/", &[SYD, (INSIST, "region=nrt")], "once").await;
    assert_eq!(answer.status, 502);
    let said = "the instance in nrt answered a request that was replayed already with fly-replay: a request is replayed once\n";
    assert_eq!(answer.text(), said);
    assert_eq!(
        (planet.syd.seen().len(), planet.nrt.seen().len(), planet.ord.seen().len()),
        (1, 1, 0)
    );
}

#[tokio::test]
async fn a_body_of_one_megabyte_is_replayed_and_one_byte_more_is_not() {
    let planet = Planet::start().await;
    let largest: Bytes = (0..=250_u8).cycle().take(1_000_000).collect();
    for path in ["/", "/unread"] {
        let answer = planet.send("POST", path, &[SYD, (ASK, "region=nrt")], largest.clone()).await;
        assert_eq!((answer.status, answer.text()), (200, "nrt"), "{path}");
        assert!(planet.nrt.seen().pop().unwrap().body == largest, "{path}");
    }

    let larger = vec![1; 1_000_001];
    for path in ["/", "/unread"] {
        let answer = planet.send("POST", path, &[SYD, (ASK, "region=nrt")], larger.clone()).await;
        assert_eq!(answer.status, 502, "{path}");
        assert!(
            answer.text().starts_with("the request's body is longer than 1000000 bytes"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(planet.nrt.seen().len(), 2);
    let unasked = planet.send("POST", "/", &[SYD], larger).await;
    assert_eq!((unasked.status, unasked.text()), (200, "syd"), "it streams on");
}

#[tokio::test]
async fn a_body_whose_length_nobody_said_is_bound_too() {
    let planet = Planet::start().await;
    for (chunks, status) in [(10, 200), (11, 502)] {
        let (mut sender, body) = Channel::<Bytes>::new(1);
        tokio::spawn(async move {
            for _ in 0..chunks {
                if sender.send_data(Bytes::from(vec![5; 100_000])).await.is_err() {
                    return;
                }
            }
        });
        let request = request("POST", "/", &[SYD, (ASK, "region=nrt")], body);
        assert_eq!(Answer::read(send(planet.edge.address(), request).await).await.status, status);
    }
    assert_eq!(planet.nrt.only().body.len(), 1_000_000);
}

#[tokio::test]
async fn where_nobody_is_reached_a_fallback_goes_back() {
    let planet = Planet::start().await;
    let (edge, syd) = (planet.edge, planet.syd);
    planet.nrt.stop().await;
    for (fallback, method) in [("prefer_self", "POST"), ("force_self", "DELETE")] {
        let ask = format!("region=nrt;timeout=5s;fallback={fallback}");
        let answer = Answer::read(
            send(edge.address(), request(method, "/", &[SYD, (ASK, &ask)], "body".to_owned()))
                .await,
        )
        .await;
        assert_eq!(
            (answer.status, answer.text(), answer.done()),
            (200, "syd", "from=syd; instance=syd; failed=retries_exhausted")
        );
        let seen = syd.seen().pop().unwrap();
        assert_eq!(
            (seen.method.as_str(), &seen.body[..], seen.header("fly-replay-src")),
            (method, &b"body"[..], None)
        );
        let failed = seen.header("fly-replay-failed").unwrap();
        let (failed, elapsed) = failed.rsplit_once(";elapsed_ms=").unwrap();
        assert_eq!(failed, "instance=nrt;region=nrt;replay_source=syd;reason=retries_exhausted");
        assert!(elapsed.parse::<u64>().unwrap() < 5000);
    }

    let ask = [SYD, (INSIST, "region=nrt;fallback=prefer_self")];
    let answer =
        Answer::read(send(edge.address(), request("GET", "/", &ask, String::new())).await).await;
    assert_eq!(answer.status, 502, "what came back is not replayed either");
    assert!(
        answer
            .text()
            .starts_with("the instance in syd answered a request that was replayed already"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_place_without_an_instance_is_a_reason_to_come_back_too() {
    let planet = Planet::start().await;
    let answer = planet.get("/", &[SYD, (ASK, "region=cdg;fallback=force_self")]).await;
    assert_eq!(answer.done(), "from=syd; instance=syd; failed=no_candidate");
    let seen = planet.syd.seen().pop().unwrap();
    assert!(
        seen.header("fly-replay-failed")
            .unwrap()
            .starts_with("instance=cdg;region=cdg;replay_source=syd;reason=no_candidate;")
    );
}

#[tokio::test]
async fn a_timeout_bounds_the_connecting() {
    // A port whose queue is full answers no connection at all.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(100), tokio::net::TcpStream::connect(address))
            .await
    {
        waiting.push(stream);
    }

    let syd = App::start("syd").await;
    let full = archipelago_edge::Instance { region: "nrt".to_owned(), address };
    let lines = archipelago_lab::Links::new(distances()).unwrap();
    let edge =
        archipelago_edge::Edge::builder(lines, [syd.instance(), full]).start().await.unwrap();
    let visit = |ask| async move {
        Answer::read(
            send(edge.address(), request("POST", "/", &[SYD, (ASK, ask)], String::new())).await,
        )
        .await
    };

    let back = visit("region=nrt;timeout=150ms;fallback=force_self").await;
    assert_eq!((back.status, back.done()), (200, "from=syd; instance=syd; failed=timeout"));
    let failed = syd.seen().pop().unwrap().header("fly-replay-failed").unwrap().to_owned();
    let elapsed: u64 = failed.rsplit_once('=').unwrap().1.parse().unwrap();
    assert!((150..2000).contains(&elapsed), "{failed}");
}

#[tokio::test]
async fn a_timeout_bounds_the_answer_only_where_the_request_may_be_made_twice() {
    let planet = Planet::start().await;
    let ask = [SYD, (ASK, "region=nrt;timeout=150ms;fallback=force_self")];
    let answer = planet.get("/slow-there", &ask).await;
    assert_eq!(answer.done(), "from=syd; instance=syd; replayed=nrt", "in time");

    // The instance in Tokyo answers only when it is told to.
    let late = planet.get("/slow", &[SYD, (ASK, "region=nrt;timeout=150ms")]).await;
    assert_eq!(late.status, 504);
    assert!(
        late.text().starts_with("the instance in nrt has not answered within 150ms"),
        "{}",
        late.text()
    );

    let write = async { planet.send("POST", "/slow", &ask, "").await };
    let told = async {
        let is_there = || planet.nrt.seen().iter().any(|seen| seen.method == "POST");
        crate::eventually::eventually("the write has arrived", is_there).await;
        tokio::time::timeout(Duration::from_millis(400), std::future::pending::<()>())
            .await
            .unwrap_err();
        planet.nrt.go();
    };
    let (answer, ()) = tokio::join!(write, told);
    assert_eq!(
        (answer.text(), answer.done()),
        ("at last", "from=syd; instance=syd; replayed=nrt"),
        "it is not made twice"
    );
    assert_eq!(planet.syd.seen().iter().filter(|seen| seen.method == "POST").count(), 1);
}
