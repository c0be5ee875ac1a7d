//! Links without servers: what is delayed, what is not, and how connections end.

mod target;

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use target::{FAR, ask, connect, door, echo, expect, lines, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::yield_now;

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
                    1..5 => lines.cut("far", "home").unwrap(),
                    _ => lines.slow("far", "home", Duration::from_millis(milliseconds)).unwrap(),
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
            written = sender.write(&[7; 16 * 1024]) => (sent, unheard) = (sent + written.unwrap(), 0),
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
    let nobody = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap();

    let since = Instant::now();
    let mut far = connect(door(&lines, "far", nobody)).await;
    assert_eq!(far.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(since.elapsed() >= FAR, "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_door_stays_where_it_is_and_closes_with_the_lines() {
    let lines = lines();
    let echo = echo().await;
    let door = door(&lines, "far", echo);
    assert_eq!(lines.clone().proxy("far", "home", echo).unwrap(), door);
    assert_ne!(lines.proxy("home", "far", echo).unwrap(), door);
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
