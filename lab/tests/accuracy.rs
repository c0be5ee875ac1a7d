//! How exactly a link delays, compared with a thread that sleeps as long. In a binary of its own, as
//! tests that run meanwhile would distort it.

use std::io::{Read, Write};
use std::iter;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use archipelago_lab::{Distances, Links};

/// How far the added delay may be off, beyond what a sleeping thread is late.
const ACCURACY: Duration = Duration::from_millis(1);

/// On a busy machine threads wake late, with or without a link. So trips are measured a few at a
/// time, each time beside the same without a distance and a thread that sleeps, and the quietest
/// moments count. A clock that is late by itself has no quiet moments.
const TRIPS: usize = 5;
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

    for distance in distances {
        let mut far = link_to(&place(distance));
        let mut seen = Vec::new();
        let accurate = (0..MOMENTS).filter(|_| {
            let far = median(|| round_trip(&mut far, started, distance));
            let beside = median(|| round_trip(&mut side_by_side, started, Duration::ZERO));
            // A trip waits for two alarms: one in each direction.
            let late = 2 * median(|| sleeps_late(distance / 2));
            seen.push((far, beside, late));
            (far.saturating_sub(beside + late)).abs_diff(distance) <= ACCURACY
        });
        let accurate = accurate.take(QUIET).count();
        assert_eq!(accurate, QUIET, "{distance:?} (trip, trip beside, late): {seen:?}");
    }
}

fn median(measure: impl FnMut() -> Duration) -> Duration {
    let mut measured: Vec<_> = iter::repeat_with(measure).take(TRIPS).collect();
    measured.sort_unstable();
    measured[TRIPS / 2]
}

/// How long a round trip takes: at least half the distance in each direction.
fn round_trip(far: &mut TcpStream, started: Instant, distance: Duration) -> Duration {
    let sent = started.elapsed();
    far.write_all(b"?").unwrap();
    let mut answer = [0; 8];
    far.read_exact(&mut answer).unwrap();
    let (arrived, returned) = (Duration::from_nanos(u64::from_be_bytes(answer)), started.elapsed());
    let (there, back) = (arrived.saturating_sub(sent), returned.saturating_sub(arrived));
    assert!(there >= distance / 2 && back >= distance / 2, "there in {there:?}, back in {back:?}");
    there + back
}

/// How long after the time that it asked for a thread wakes.
fn sleeps_late(time: Duration) -> Duration {
    let asked = Instant::now();
    thread::sleep(time);
    asked.elapsed().saturating_sub(time)
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
