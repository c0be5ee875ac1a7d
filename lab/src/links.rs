//! The lines between places: how long bytes take from one to the other, and whether they arrive at all.

mod connection;
mod crossing;
mod door;
mod line;
mod traffic;
mod way;

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::pair::Pair;
use crate::{Distances, LabError, port};

pub use line::Link;
use line::State;
use traffic::Traffic;

/// Every line of a world; a cheap handle to them.
///
/// Between any two places stands one line, whatever goes along it and in whichever direction. Bytes that enter a
/// [`door`](Self::proxy) come out behind it half a round trip later, in order, as many at a time as the sockets take:
/// distance does not limit bandwidth. Doors are TCP proxies in this process, on a thread of their own, so that no runtime of
/// a caller has to live as long as they do. They end with the last handle to them, to the world or to one of its servers.
///
/// # What is as on a real line
/// - Setting up a connection takes a round trip, a request and its answer another.
/// - End and reset of a connection travel like bytes, behind those that were sent before.
/// - A [`cut`](Self::cut) loses nothing that a [`heal`](Self::heal) does not bring back: TCP would send it again.
///
/// # What is not
/// - `connect()` itself returns at once, as the kernel accepts before this process is asked: the first bytes pay for the round
///   trip. For the same reason a target that refuses connections resets them instead.
/// - There is no window that opens slowly: a new connection is as fast as an old one.
/// - At most 64 MiB are on the way in each direction of a connection. What is sent beyond that waits at the sender, as it does
///   when a receiver does not read.
#[derive(Debug, Clone)]
pub struct Links {
    shared: Arc<Shared>,
    /// Tests share the servers and their lines, so none of them may harm one.
    has_neighbours: bool,
}

#[derive(Debug)]
struct Shared {
    /// The first to be dropped: nobody is on the way any more when the lines go.
    traffic: Traffic,
    distances: Distances,
    states: Mutex<HashMap<Pair, watch::Sender<State>>>,
    doors: Mutex<HashMap<Door, SocketAddr>>,
}

/// From where, to where, and to whom there.
type Door = (String, String, SocketAddr);

impl Links {
    /// Links of these distances, without any server: those of a world are [`World::links`](crate::World::links).
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(distances: Distances) -> Result<Self, LabError> {
        let traffic = Traffic::start().map_err(|source| LabError::Links { source })?;
        Ok(Self {
            shared: Arc::new(Shared {
                traffic,
                distances,
                states: Mutex::default(),
                doors: Mutex::default(),
            }),
            has_neighbours: false,
        })
    }

    /// The same, shared by tests or not.
    pub(crate) fn with_neighbours(self, has_neighbours: bool) -> Self {
        Self { has_neighbours, ..self }
    }

    /// A local address which leads to `target` in the place `to`, as seen from the place `from`: what is sent there takes the
    /// line between the two. The same door for the same three, for as long as the world lives; within a place the target
    /// itself.
    ///
    /// Any names of places will do. Those that the world's [`Distances`] do not know are at no distance, and their lines can be
    /// cut and slowed like all others.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn proxy(&self, from: &str, to: &str, target: SocketAddr) -> Result<SocketAddr, LabError> {
        let Some(pair) = Pair::of(from, to) else { return Ok(target) };
        let mut doors = unpoisoned(&self.shared.doors);
        let key = (from.to_owned(), to.to_owned(), target);
        if let Some(door) = doors.get(&key) {
            return Ok(*door);
        }
        let listener = port::reserve()?;
        let door = door::open(listener, target, self.line(pair), &self.shared.traffic);
        let door = door.map_err(|source| LabError::NoPort { source })?;
        doors.insert(key, door);
        Ok(door)
    }

    /// The round-trip time of the line between two places at this moment, without regard to a cut; zero within a place.
    #[must_use]
    pub fn round_trip(&self, a: &str, b: &str) -> Duration {
        self.state(a, b).map_or(Duration::ZERO, |state| state.round_trip())
    }

    /// Whether the line between two places is cut; never within a place.
    #[must_use]
    pub fn is_cut(&self, a: &str, b: &str) -> bool {
        self.state(a, b).is_some_and(|state| state.cut)
    }

    /// Cuts the line between two places: from now on nothing passes, in either direction, on any connection.
    ///
    /// It is what TCP sees when packets are lost: nobody hears of it, nothing is reset. Bytes on the way and new ones wait for
    /// [`heal`](Self::heal). New connections are accepted (a real line would not even do that), hang, and are reset after two
    /// minutes, when a real one would have timed out. A place cannot be cut from itself; that is ignored.
    ///
    /// A primary that is stopped waits for the replicas behind a cut, until its patience of 20 seconds ends.
    ///
    /// # Errors
    /// [`LabError::Shared`] in a test on shared servers.
    pub fn cut(&self, a: &str, b: &str) -> Result<(), LabError> {
        self.allow("cut a line")?;
        self.change(a, b, State::cut);
        Ok(())
    }

    /// Gives the line between two places back its distance, after [`cut`](Self::cut), [`slow`](Self::slow) or both. What waited
    /// sets out again now, and arrives in the order in which it was sent.
    pub fn heal(&self, a: &str, b: &str) {
        self.change(a, b, State::heal);
    }

    /// Makes this the round-trip time of the line between two places, until it is [healed](Self::heal); also for what is on the
    /// way. Within a place it is ignored.
    ///
    /// # Errors
    /// [`LabError::Shared`] in a test on shared servers.
    pub fn slow(&self, a: &str, b: &str, round_trip: Duration) -> Result<(), LabError> {
        self.allow("make a line slow")?;
        self.change(a, b, |state| state.slow(round_trip));
        Ok(())
    }

    /// A primary that stops waits until its replicas have everything, so at the end nobody may be cut off.
    pub(crate) fn heal_all(&self) {
        for line in unpoisoned(&self.shared.states).values() {
            line.send_modify(State::heal);
        }
    }

    /// Whether anything is known of a place: how far it is from another, or somebody who is there.
    pub(crate) fn knows(&self, place: &str) -> bool {
        self.shared.distances.knows(place) || self.in_use().contains(place)
    }

    /// The places which a door leads from.
    pub(crate) fn in_use(&self) -> BTreeSet<String> {
        unpoisoned(&self.shared.doors).keys().map(|(from, _, _)| from.clone()).collect()
    }

    /// The lines between these places as they are at this moment, each once.
    #[must_use]
    pub fn among(&self, places: &[&str]) -> Vec<Link> {
        let pairs = places
            .iter()
            .enumerate()
            .flat_map(|(at, a)| places[at + 1..].iter().map(move |b| (*a, *b)));
        pairs.filter_map(|(a, b)| Some(Link::new(a, b, self.state(a, b)?))).collect()
    }

    /// Whether the servers and lines may be harmed, by doing this.
    pub(crate) fn allow(&self, doing: &'static str) -> Result<(), LabError> {
        if self.has_neighbours { Err(LabError::Shared { doing }) } else { Ok(()) }
    }

    fn state(&self, a: &str, b: &str) -> Option<State> {
        Some(*self.line(Pair::of(a, b)?).borrow())
    }

    fn change(&self, a: &str, b: &str, change: impl FnOnce(&mut State)) {
        if let Some(pair) = Pair::of(a, b) {
            self.with(pair, |line| line.send_modify(change));
        }
    }

    fn line(&self, pair: Pair) -> watch::Receiver<State> {
        self.with(pair, watch::Sender::subscribe)
    }

    fn with<T>(&self, pair: Pair, act: impl FnOnce(&watch::Sender<State>) -> T) -> T {
        let mut states = unpoisoned(&self.shared.states);
        let line = states.entry(pair);
        act(line.or_insert_with_key(|pair| {
            watch::Sender::new(State::new(self.shared.distances.between(pair)))
        }))
    }
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
