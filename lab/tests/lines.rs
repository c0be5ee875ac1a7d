//! Lines without servers: what is delayed, what is not, and what a cut looks like.

mod target;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use archipelago_lab::{Distances, Lines};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use target::{ask, connect, echo, expect, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::yield_now;

const FAR: Duration = Duration::from_millis(100);

/// Far away is `far`; `near` and `home` are side by side.
fn lines() -> Lines {
    Lines::new(Distances::default().with_round_trip("far", "home", FAR)).unwrap()
}

fn door(lines: &Lines, place: &str, target: SocketAddr) -> SocketAddr {
    lines.door(place, "home", target).unwrap()
}

#[tokio::test]
async fn a_new_connection_pays_a_round_trip_before_its_first_answer() {
    let lines = lines();
    let door = door(&lines, "far", echo().await);

    let since = Instant::now();
    let mut far = connect(door).await;
    ask(&mut far, b"x").await;

    assert!(since.elapsed() >= 2 * FAR, "{:?}", since.elapsed());
}

#[tokio::test]
async fn bytes_arrive_whole_and_in_order_while_the_line_changes() {
    const LENGTH: usize = 100_000_000;
    let lines = lines();
    let mut random = SmallRng::seed_from_u64(7);
    // Of no round length, so that no piece can stand in for another.
    let pattern: Vec<u8> = (0..1_000_003).map(|_| random.random()).collect();
    let expected = pattern.clone();
    let (mut from, mut to) = connect(door(&lines, "far", echo().await)).await.into_split();

    let send = async {
        let mut sent = 0;
        while sent < LENGTH {
            let at = sent % pattern.len();
            let most = random.random_range(1..200_000).min(LENGTH - sent);
            let piece = &pattern[at..pattern.len().min(at + most)];
            to.write_all(piece).await.unwrap();
            sent += piece.len();
            if random.random_bool(0.1) {
                let milliseconds = random.random_range(0..50);
                match milliseconds {
                    0 => lines.heal("far", "home"),
                    1..5 => lines.cut("far", "home"),
                    _ => lines.slow("far", "home", Duration::from_millis(milliseconds)),
                }
            }
            if lines.is_cut("far", "home") {
                yield_now().await;
                lines.heal("far", "home");
            }
        }
        to.shutdown().await.unwrap();
    };
    let receive = async {
        let (mut received, mut piece) = (0, vec![0; 1 << 20]);
        loop {
            let length = from.read(&mut piece).await.unwrap();
            if length == 0 {
                return received;
            }
            let mut rest = &piece[..length];
            while !rest.is_empty() {
                let at = received % expected.len();
                let same = rest.len().min(expected.len() - at);
                assert!(rest[..same] == expected[at..at + same], "behind {received} bytes");
                received += same;
                rest = &rest[same..];
            }
        }
    };
    let ((), received) = tokio::join!(send, receive);
    assert_eq!(received, LENGTH);
}

#[tokio::test]
async fn distance_does_not_limit_bandwidth() {
    const LENGTH: usize = 32 * 1024 * 1024;
    let lines = lines();
    let sink = serve(async |mut connection| {
        let length = tokio::io::copy(&mut connection, &mut tokio::io::sink()).await.unwrap();
        connection.write_u64(length).await.unwrap();
    });
    let mut far = connect(door(&lines, "far", sink.await)).await;

    let since = Instant::now();
    far.write_all(&vec![7; LENGTH]).await.unwrap();
    far.shutdown().await.unwrap();
    assert_eq!(far.read_u64().await.unwrap(), LENGTH as u64);

    // Windows of 64 KiB, one for each round trip, would take five hundred of them.
    assert!(since.elapsed() < FAR * 50, "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_receiver_that_does_not_read_stops_the_sender_in_the_end() {
    const MOST: usize = 64 * 1024 * 1024;
    let lines = lines();
    let (accepted, mut accepts) = tokio::sync::mpsc::channel(1);
    let silent = serve(move |connection| {
        let accepted = accepted.clone();
        async move { accepted.send(connection).await.unwrap() }
    });
    let mut sender = connect(door(&lines, "near", silent.await)).await;
    let mut receiver = accepts.recv().await.unwrap();
    let mut witness = connect(door(&lines, "near", echo().await)).await;

    let (mut sent, mut unheard) = (0, 0);
    while unheard < 500 {
        tokio::select! {
            biased;
            written = sender.write(&[7; 64 * 1024]) => (sent, unheard) = (sent + written.unwrap(), 0),
            () = ask(&mut witness, b"x") => unheard += 1,
        }
        assert!(sent < 2 * MOST, "{sent} bytes are taken from the sender and not from the line");
    }
    assert!(sent >= MOST, "{sent}");

    sender.shutdown().await.unwrap();
    assert_eq!(tokio::io::copy(&mut receiver, &mut tokio::io::sink()).await.unwrap(), sent as u64);
}

#[tokio::test]
async fn one_side_may_end_while_the_other_goes_on() {
    let lines = lines();
    let server = serve(async |mut connection| {
        let mut question = String::new();
        connection.read_to_string(&mut question).await.unwrap();
        connection.write_all(format!("{question}? 42.").as_bytes()).await.unwrap();
    });
    let mut far = connect(door(&lines, "far", server.await)).await;

    far.write_all(b"the answer").await.unwrap();
    far.shutdown().await.unwrap();

    let mut answer = String::new();
    far.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "the answer? 42.");
}

#[tokio::test]
async fn a_reset_travels_behind_the_bytes_before_it() {
    let lines = lines();
    let (seen, mut saw) = tokio::sync::mpsc::channel(1);
    let server = serve(move |mut connection| {
        let seen = seen.clone();
        async move {
            ask_back(&mut connection).await;
            let mut words = Vec::new();
            let end = connection.read_to_end(&mut words).await.unwrap_err();
            seen.send((words, end.kind(), Instant::now())).await.unwrap();
        }
    });
    let mut far = connect(door(&lines, "far", server.await)).await;
    expect(&mut far, b"?").await;

    far.write_all(b"last words").await.unwrap();
    far.set_zero_linger().unwrap();
    let since = Instant::now();
    drop(far);

    let (words, end, at) = saw.recv().await.unwrap();
    assert_eq!((words.as_slice(), end), (&b"last words"[..], ErrorKind::ConnectionReset));
    assert!(at - since >= FAR / 2, "{:?}", at - since);
}

/// So that the other side knows that the connection is set up.
async fn ask_back(connection: &mut TcpStream) {
    connection.write_all(b"?").await.unwrap();
}

#[tokio::test]
async fn who_writes_to_somebody_who_is_gone_is_reset_too() {
    let lines = lines();
    let server = serve(async |connection| connection.set_zero_linger().unwrap());
    let mut far = connect(door(&lines, "far", server.await)).await;
    assert_eq!(far.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_connection_that_is_refused_is_reset_a_round_trip_later() {
    let lines = lines();
    let nobody = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();

    let since = Instant::now();
    let mut far = connect(door(&lines, "far", nobody)).await;
    assert_eq!(far.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(since.elapsed() >= FAR, "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_cut_line_is_silent_and_nothing_is_lost() {
    let lines = lines();
    let echo = echo().await;
    let (mut far, mut near) = (connect(door(&lines, "far", echo)).await, connect(door(&lines, "near", echo)).await);
    ask(&mut far, b"before").await;

    far.write_all(b"on the way, ").await.unwrap();
    lines.cut("home", "far");
    assert!(lines.is_cut("far", "home"));
    far.write_all(b"after").await.unwrap();
    let mut late = connect(door(&lines, "far", echo)).await;
    late.write_all(b"a new one").await.unwrap();
    // As long as another line takes for this, the cut one would have taken, too.
    lines.slow("near", "home", FAR);
    for _ in 0..5 {
        ask(&mut near, b"tick").await;
    }
    for silent in [&far, &late] {
        assert_eq!(silent.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    let since = Instant::now();
    lines.heal("far", "home");
    expect(&mut far, b"on the way, after").await;
    assert!(since.elapsed() >= FAR, "what was lost sets out again: {:?}", since.elapsed());
    expect(&mut late, b"a new one").await;
    ask(&mut far, b"again").await;
}

#[tokio::test]
async fn a_line_is_slow_until_it_is_healed() {
    let lines = lines();
    let mut near = connect(door(&lines, "near", echo().await)).await;
    ask(&mut near, b"x").await;

    lines.slow("near", "home", FAR * 3);
    assert_eq!(lines.round_trip("home", "near"), FAR * 3);
    let since = Instant::now();
    ask(&mut near, b"x").await;
    assert!(since.elapsed() >= FAR * 3, "{:?}", since.elapsed());

    // What is on the way when it is healed need not wait any longer.
    lines.slow("near", "home", Duration::MAX);
    near.write_all(b"x").await.unwrap();
    lines.heal("near", "home");
    expect(&mut near, b"x").await;
    assert_eq!(lines.round_trip("home", "near"), Duration::ZERO);
}

#[tokio::test]
async fn a_line_has_one_state_whatever_its_direction() {
    let lines = lines();
    lines.cut("near", "far");
    lines.slow("near", "home", FAR);

    let shown = |line: &archipelago_lab::Line| {
        let archipelago_lab::Line { a, b, round_trip, cut, slowed, .. } = line;
        format!("{a}-{b} {round_trip:?}{}{}", if *cut { " cut" } else { "" }, if *slowed { " slowed" } else { "" })
    };
    let among: Vec<_> = lines.among(&["home", "near", "far"]).iter().map(shown).collect();
    assert_eq!(among, ["home-near 100ms slowed", "home-far 100ms", "near-far 0ns cut"]);
}

#[tokio::test]
async fn a_place_cannot_be_cut_from_itself() {
    let lines = lines();
    let echo = echo().await;
    lines.cut("far", "far");
    lines.slow("far", "far", FAR);

    assert!(!lines.is_cut("far", "far"));
    assert_eq!(lines.round_trip("far", "far"), Duration::ZERO);
    assert_eq!(lines.door("far", "far", echo).unwrap(), echo);
}

#[tokio::test]
async fn a_door_stays_where_it_is_and_closes_with_the_lines() {
    let lines = lines();
    let echo = echo().await;
    let door = door(&lines, "far", echo);
    assert_eq!(lines.clone().door("far", "home", echo).unwrap(), door);
    assert_ne!(lines.door("home", "far", echo).unwrap(), door);
    let mut far = connect(door).await;
    ask(&mut far, b"x").await;

    drop(lines);

    assert_eq!(TcpStream::connect(door).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(matches!(far.read(&mut [0]).await, Ok(0) | Err(_)), "the connection has ended, too");
}

#[test]
fn doors_outlive_the_runtime_that_asked_for_them() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (elsewhere, lines) = (runtime(), lines());
    let echo = elsewhere.block_on(echo());
    let door = runtime().block_on(async { door(&lines, "far", echo) });
    elsewhere.block_on(async { ask(&mut connect(door).await, b"x").await });
}
