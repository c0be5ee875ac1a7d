//! What a link carries: what it delays, what it does not, and how connections end.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::target::{FAR, ask, connect, echo, expect, links, proxy, serve};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::yield_now;

#[tokio::test]
async fn a_new_connection_costs_a_round_trip_more() {
    let links = links();
    let proxy = proxy(&links, "far", echo().await);

    let since = Instant::now();
    let mut far = connect(proxy).await;
    ask(&mut far, b"x").await;

    assert!(since.elapsed() >= 2 * FAR, "{:?}", since.elapsed());
}

#[tokio::test]
async fn bytes_arrive_in_order_while_the_link_changes() {
    const LENGTH: usize = 100_000_000;
    let links = links();
    let mut random = SmallRng::seed_from_u64(7);
    // Of a prime length, so that no piece can pass for another.
    let pattern: Vec<u8> = (0..1_000_003).map(|_| random.random()).collect();
    let expected = pattern.clone();
    let (mut from, mut to) = connect(proxy(&links, "far", echo().await)).await.into_split();

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
                    0 => links.heal("far", "home"),
                    1..5 => links.cut("far", "home").unwrap(),
                    _ => links.slow("far", "home", Duration::from_millis(milliseconds)).unwrap(),
                }
            }
            if links.is_cut("far", "home") {
                yield_now().await;
                links.heal("far", "home");
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
    let links = links();
    let sink = serve(async |mut connection| {
        let length = tokio::io::copy(&mut connection, &mut tokio::io::sink()).await.unwrap();
        connection.write_u64(length).await.unwrap();
    });
    let mut far = connect(proxy(&links, "far", sink.await)).await;

    let since = Instant::now();
    far.write_all(&vec![7; LENGTH]).await.unwrap();
    far.shutdown().await.unwrap();
    assert_eq!(far.read_u64().await.unwrap(), LENGTH as u64);

    // A window of 64 KiB for each round trip would take five hundred of them.
    assert!(since.elapsed() < FAR * 50, "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_receiver_that_does_not_read_stops_the_sender() {
    const MOST: usize = 64 * 1024 * 1024;
    let links = links();
    let (accepted, mut accepts) = tokio::sync::mpsc::channel(1);
    let silent = serve(move |connection| {
        let accepted = accepted.clone();
        async move { accepted.send(connection).await.unwrap() }
    });
    let mut sender = connect(proxy(&links, "near", silent.await)).await;
    let mut receiver = accepts.recv().await.unwrap();
    let mut witness = connect(proxy(&links, "near", echo().await)).await;

    let (mut sent, mut unheard) = (0, 0);
    while unheard < 500 {
        tokio::select! {
            biased;
            written = sender.write(&[7; 16 * 1024]) => (sent, unheard) = (sent + written.unwrap(), 0),
            () = ask(&mut witness, b"x") => unheard += 1,
        }
        assert!(sent < 2 * MOST, "{sent} bytes are taken from the sender and not from the link");
    }
    assert!(sent >= MOST, "{sent}");

    sender.shutdown().await.unwrap();
    assert_eq!(tokio::io::copy(&mut receiver, &mut tokio::io::sink()).await.unwrap(), sent as u64);
}

#[tokio::test]
async fn one_side_may_end_before_the_other() {
    let links = links();
    let server = serve(async |mut connection| {
        let mut question = String::new();
        connection.read_to_string(&mut question).await.unwrap();
        connection.write_all(format!("{question}? 42.").as_bytes()).await.unwrap();
    });
    let mut far = connect(proxy(&links, "far", server.await)).await;

    far.write_all(b"the answer").await.unwrap();
    far.shutdown().await.unwrap();

    let mut answer = String::new();
    far.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "the answer? 42.");
}

#[tokio::test]
async fn a_reset_travels_behind_the_bytes_before_it() {
    let links = links();
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
    let mut far = connect(proxy(&links, "far", server.await)).await;
    expect(&mut far, b"?").await;

    far.write_all(b"last words").await.unwrap();
    far.set_zero_linger().unwrap();
    let since = Instant::now();
    drop(far);

    let (words, end, at) = saw.recv().await.unwrap();
    assert_eq!((words.as_slice(), end), (&b"last words"[..], ErrorKind::ConnectionReset));
    assert!(at - since >= FAR / 2, "{:?}", at - since);
}

/// Tells the other side that the connection is open.
async fn ask_back(connection: &mut TcpStream) {
    connection.write_all(b"?").await.unwrap();
}

#[tokio::test]
async fn a_reset_reaches_the_other_end() {
    let links = links();
    let server = serve(async |connection| connection.set_zero_linger().unwrap());
    let mut far = connect(proxy(&links, "far", server.await)).await;
    assert_eq!(far.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_connection_that_is_refused_is_reset_a_round_trip_later() {
    let links = links();
    let closed = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap();

    let since = Instant::now();
    let mut far = connect(proxy(&links, "far", closed)).await;
    assert_eq!(far.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(since.elapsed() >= FAR, "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_proxy_keeps_its_address_and_closes_with_the_links() {
    let links = links();
    let echo = echo().await;
    let proxy = proxy(&links, "far", echo);
    assert_eq!(links.clone().proxy("far", "home", echo).unwrap(), proxy);
    assert_ne!(links.proxy("home", "far", echo).unwrap(), proxy);
    let mut far = connect(proxy).await;
    ask(&mut far, b"x").await;

    drop(links);

    assert_eq!(TcpStream::connect(proxy).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(matches!(far.read(&mut [0]).await, Ok(0) | Err(_)), "the connection has ended");
}

#[test]
fn proxies_outlive_the_runtime_that_asked_for_them() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (elsewhere, links) = (runtime(), links());
    let echo = elsewhere.block_on(echo());
    let proxy = runtime().block_on(async { proxy(&links, "far", echo) });
    elsewhere.block_on(async { ask(&mut connect(proxy).await, b"x").await });
}
