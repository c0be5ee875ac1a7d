//! How exactly a link delays. In a binary of its own, as tests that run meanwhile would distort it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use archipelago_lab::{Distances, Links};

/// How far the added delay may be off.
const ACCURACY: Duration = Duration::from_millis(1);

/// On a busy machine threads wake late, and every trip takes longer, with or without a link. So
/// trips are measured a few at a time, and the medians of the quietest moments count. A clock that
/// is late by itself has no quiet moments.
const TRIPS: usize = 11;
const MOMENTS: usize = 40;
const QUIET: usize = 4;

#[test]
fn the_added_delay_is_accurate_to_a_millisecond() {
    let distances = [1, 7, 20, 50, 137].map(Duration::from_millis);
    let place = |distance: Duration| format!("{distance:?} away");
    let known = distances
        .iter()
        .fold(Distances::default(), |known, it| known.with_round_trip("here", &place(*it), *it));
    let links = Links::new(known).unwrap();
    let started = Instant::now();
    let clock = clock(started);
    let link_to = |place: &str| connect(links.proxy("here", place, clock).unwrap());
    let mut side_by_side = link_to("beside");
    let without =
        (0..MOMENTS).map(|_| median(&mut side_by_side, started, Duration::ZERO)).min().unwrap();

    for distance in distances {
        let mut far = link_to(&place(distance));
        let mut seen = Vec::new();
        let added =
            (0..MOMENTS).map(|_| median(&mut far, started, distance).saturating_sub(without));
        let accurate = added
            .inspect(|added| seen.push(*added))
            .filter(|added| added.abs_diff(distance) <= ACCURACY);
        let accurate = accurate.take(QUIET).count();
        println!("{distance:?}: {seen:?}, and {without:?} without a distance");
        assert_eq!(accurate, QUIET, "a distance of {distance:?} added {seen:?}");
    }
}

/// The median of a few round trips. Each must take at least half the distance in each direction.
fn median(far: &mut TcpStream, started: Instant, distance: Duration) -> Duration {
    let mut trips: Vec<_> = (0..TRIPS)
        .map(|_| {
            let sent = started.elapsed();
            far.write_all(b"?").unwrap();
            let mut answer = [0; 8];
            far.read_exact(&mut answer).unwrap();
            let (arrived, returned) =
                (Duration::from_nanos(u64::from_be_bytes(answer)), started.elapsed());
            let (there, back) = (arrived.saturating_sub(sent), returned.saturating_sub(arrived));
            assert!(
                there >= distance / 2 && back >= distance / 2,
                "there in {there:?}, back in {back:?}"
            );
            there + back
        })
        .collect();
    trips.sort_unstable();
    trips[TRIPS / 2]
}

/// A server that answers every byte with the nanoseconds since `started`.
fn clock(started: Instant) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            connection.set_nodelay(true).unwrap();
            thread::spawn(move || {
                while connection.read_exact(&mut [0]).is_ok() {
                    let nanoseconds = u64::try_from(started.elapsed().as_nanos()).unwrap();
                    connection.write_all(&nanoseconds.to_be_bytes()).unwrap();
                }
            });
        }
    });
    address
}

fn connect(proxy: SocketAddr) -> TcpStream {
    let connection = TcpStream::connect(proxy).unwrap();
    connection.set_nodelay(true).unwrap();
    connection
}
