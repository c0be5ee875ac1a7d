//! The links between places: how long bytes travel from one to the other, and whether they arrive.

mod arrival;
mod connection;
mod direction;
mod distances;
mod link;
mod open_connections;
mod pair;
mod proxy;
mod thread;

pub use distances::Distances;
pub use link::Link;

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{LabError, port};
use connection::Way;
use link::LinkState;
use open_connections::{ConnectionKey, OpenConnections};
use pair::Pair;
use thread::LinkThread;

/// All links of a world; cheap to clone.
///
/// One link joins any two places, for all connections and both directions. Bytes that enter a
/// [`proxy`](Self::proxy) leave it half a round trip later, in order, as many at a time as the
/// sockets take: distance does not limit bandwidth. The proxies are TCP proxies of this process, on
/// a thread of their own, so that they depend on no runtime of a caller. They end with the last
/// handle to these links, to the world or to one of its servers.
///
/// # As in a real network
/// - Opening a connection takes a round trip, and so does each request with its answer.
/// - The end and the reset of a connection arrive behind the bytes that were sent before.
/// - What a [`cut`](Self::cut) delays, a [`heal`](Self::heal) delivers: TCP would send it again.
///
/// # Unlike a real network
/// - `connect()` returns at once, because the kernel accepts before this process is asked. The
///   first bytes pay for that round trip. For the same reason a target that refuses connections
///   resets them.
/// - There is no slow start: a new connection is as fast as an old one.
/// - At most 64 MiB travel in each direction of a connection. More has to wait at the sender, as it
///   does when a receiver does not read.
#[derive(Debug, Clone)]
pub struct Links {
    inner: Arc<Inner>,
    /// Whether other tests use the same servers and links, so that none may be harmed.
    shared_by_tests: bool,
}

#[derive(Debug)]
struct Inner {
    /// Dropped first, so that no connection is open when the links go.
    thread: LinkThread,
    distances: Distances,
    states: Mutex<HashMap<Pair, watch::Sender<LinkState>>>,
    proxies: Mutex<HashMap<ProxyKey, SocketAddr>>,
    open: OpenConnections,
}

/// From which place, to which place, and to which address there.
type ProxyKey = (String, String, SocketAddr);

impl Links {
    /// Links of these lengths, without servers. [`World::links`](crate::World::links) are those of
    /// a world.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(distances: Distances) -> Result<Self, LabError> {
        let thread = LinkThread::start().map_err(|source| LabError::Links { source })?;
        let (states, proxies) = (Mutex::default(), Mutex::default());
        Ok(Self {
            inner: Arc::new(Inner {
                thread,
                distances,
                states,
                proxies,
                open: OpenConnections::default(),
            }),
            shared_by_tests: false,
        })
    }

    pub(crate) fn with_shared_by_tests(self, shared_by_tests: bool) -> Self {
        Self { shared_by_tests, ..self }
    }

    /// A local address that leads from the place `from` to the address `target` in the place `to`,
    /// over the link between the two. The same three give the same address for as long as the world
    /// lives. Within one place it is the target itself.
    ///
    /// Places may have any names. A place that the world's [`Distances`] do not know is at no
    /// distance from the others, and its links can be cut and slowed like all links.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn proxy(&self, from: &str, to: &str, target: SocketAddr) -> Result<SocketAddr, LabError> {
        let Some(pair) = Pair::of(from, to) else { return Ok(target) };
        let mut proxies = self.inner.proxies.lock();
        let key = (from.to_owned(), to.to_owned(), target);
        if let Some(proxy) = proxies.get(&key) {
            return Ok(*proxy);
        }
        let listener = port::reserve()?;
        let (link, open) = (self.subscribe(pair), self.inner.open.clone());
        let way = Way { from: from.to_owned(), target, link, open };
        let proxy = proxy::open(listener, way, &self.inner.thread);
        let proxy = proxy.map_err(|source| LabError::NoFreePort { source })?;
        proxies.insert(key, proxy);
        Ok(proxy)
    }

    /// The present round-trip time of the link between two places, whether it is cut or not; zero
    /// within a place.
    #[must_use]
    pub fn round_trip(&self, a: &str, b: &str) -> Duration {
        self.state(a, b).map_or(Duration::ZERO, |state| state.round_trip())
    }

    /// Whether the link between two places is cut; never within a place.
    #[must_use]
    pub fn is_cut(&self, a: &str, b: &str) -> bool {
        self.state(a, b).is_some_and(|state| state.cut)
    }

    /// Cuts the link between two places: from now on nothing passes in either direction, on any
    /// connection. Within a place it does nothing.
    ///
    /// TCP sees the same when packets are lost: no end is told, nothing is reset. Bytes on the way
    /// and new ones wait for [`heal`](Self::heal). New connections are accepted (a real network
    /// would not even do that) and hang. After two minutes, when a real one would have timed out,
    /// they are reset.
    ///
    /// A primary that is stopped waits up to 20 seconds for replicas behind a cut.
    ///
    /// # Errors
    /// [`LabError::SharedServers`] in a test on shared servers.
    pub fn cut(&self, a: &str, b: &str) -> Result<(), LabError> {
        self.check_not_shared("cut a link")?;
        self.change(a, b, LinkState::cut);
        Ok(())
    }

    /// Gives the link between two places its own length again, after [`cut`](Self::cut),
    /// [`slow`](Self::slow) or both. Delayed bytes leave again now, and arrive in the order in
    /// which they were sent.
    pub fn heal(&self, a: &str, b: &str) {
        self.change(a, b, LinkState::heal);
    }

    /// Sets the round-trip time of the link between two places until it is [healed](Self::heal),
    /// also for bytes on the way. Within a place it does nothing.
    ///
    /// # Errors
    /// [`LabError::SharedServers`] in a test on shared servers.
    pub fn slow(&self, a: &str, b: &str, round_trip: Duration) -> Result<(), LabError> {
        self.check_not_shared("make a link slow")?;
        self.change(a, b, |state| state.slow(round_trip));
        Ok(())
    }

    /// Lets one connection from a place vanish: the one that has this address at its target. False
    /// if no proxy carries it.
    pub(crate) fn blackhole(&self, from: &str, at_target: SocketAddr, target: SocketAddr) -> bool {
        self.inner.open.vanish(&ConnectionKey { from: from.to_owned(), at_target, target })
    }

    /// Heals all links. At the end of a world no replica may be cut off, because a primary that
    /// stops waits until its replicas have received everything.
    pub(crate) fn heal_all(&self) {
        for link in self.inner.states.lock().values() {
            link.send_modify(LinkState::heal);
        }
    }

    /// Whether a place is known: by its distance from another, or because a proxy starts there.
    pub(crate) fn knows(&self, place: &str) -> bool {
        self.inner.distances.knows(place) || self.places_with_proxy().contains(place)
    }

    /// The places where a proxy starts.
    pub(crate) fn places_with_proxy(&self) -> BTreeSet<String> {
        self.inner.proxies.lock().keys().map(|(from, _, _)| from.clone()).collect()
    }

    /// The links between these places as they are now, each once.
    #[must_use]
    pub fn among(&self, places: &[&str]) -> Vec<Link> {
        let pairs = places
            .iter()
            .enumerate()
            .flat_map(|(at, a)| places[at + 1..].iter().map(move |b| (*a, *b)));
        pairs.filter_map(|(a, b)| Some(Link::new(a, b, self.state(a, b)?))).collect()
    }

    /// Refuses to harm servers and links that other tests use too.
    pub(crate) fn check_not_shared(&self, doing: &'static str) -> Result<(), LabError> {
        if self.shared_by_tests { Err(LabError::SharedServers { doing }) } else { Ok(()) }
    }

    fn state(&self, a: &str, b: &str) -> Option<LinkState> {
        Some(*self.subscribe(Pair::of(a, b)?).borrow())
    }

    fn change(&self, a: &str, b: &str, change: impl FnOnce(&mut LinkState)) {
        if let Some(pair) = Pair::of(a, b) {
            self.with(pair, |link| link.send_modify(change));
        }
    }

    fn subscribe(&self, pair: Pair) -> watch::Receiver<LinkState> {
        self.with(pair, watch::Sender::subscribe)
    }

    fn with<T>(&self, pair: Pair, act: impl FnOnce(&watch::Sender<LinkState>) -> T) -> T {
        let mut states = self.inner.states.lock();
        let link = states.entry(pair).or_insert_with_key(|pair| {
            watch::Sender::new(LinkState::new(self.inner.distances.between(pair)))
        });
        act(link)
    }
}
