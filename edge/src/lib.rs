//! An edge in front of the instances of an app, one in each region: it plays the part of Fly.io's proxy.
//!
//! A person opens one address, chooses where on Earth to stand, and feels reads at home and writes from afar. A visitor is sent to
//! the instance that is nearest to where the visitor stands, over the [line](archipelago_lab::Links) between the two.
//!
//! ```no_run
//! # async fn example(world: archipelago_lab::World) -> Result<(), Box<dyn std::error::Error>> {
//! use archipelago_edge::{Edge, Instance};
//!
//! let instance = |region: &str, port| Instance { region: region.to_owned(), address: ([127, 0, 0, 1], port).into() };
//! let edge = Edge::builder(world.links().clone(), [instance("nrt", 8081), instance("syd", 8082)]).start().await?;
//! println!("http://{}", edge.address());
//! edge.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Where a visitor stands
//!
//! | said by | holds for |
//! | --- | --- |
//! | the header `fly-prefer-region: syd` (of a list the first) | this request |
//! | `?from=syd` in the URL | from now on: a GET or HEAD is sent on to the same URL without it, with a cookie; other requests go on without it, and their answer brings the cookie |
//! | the cookie | until the browser is closed |
//!
//! Whoever says nothing is asked, if it is a browser that opens a page; everybody else stands at [`Builder::default_place`]. An
//! unknown place is answered with 400 and all known ones. The parameter `from` and the cookie `edge_from` belong to the edge, as
//! does the path [`PATH`]: no instance ever sees them.
//!
//! # Which instance answers
//!
//! The nearest one that takes the connection and has a line that is not cut. `fly-force-region: nrt` leaves no choice: that
//! region's instance, or 503. An instance that breaks off before it answers is passed over if the method may be repeated (GET, PUT,
//! DELETE …), else the visitor is told with 502 that the request may have been made. An answer that does not begin within
//! [`Builder::answer_within`] of the last of the request is 504: hanging is what happens on a line that is cut while somebody waits.
//!
//! # What an instance is told
//!
//! The request as it was, its `Host` included, with `fly-region` (where the visitor stands), `fly-client-ip`, `fly-request-id`,
//! `x-forwarded-for`, `x-forwarded-proto` and `via`. What a visitor writes into these headers of Fly's is replaced.
//!
//! # Replays
//!
//! An answer with `fly-replay` is obeyed as <https://fly.io/docs/networking/dynamic-request-routing/> says: the fields `region` (a
//! list is quoted; `any` means all others), `instance`, `app`, `elsewhere`, `state`, `timeout` and `fallback`; the target finds
//! `fly-replay-src`, and the source `fly-replay-failed` where the replay comes back. A request is replayed once, and only if its
//! body is at most 1 MB (1,000,000 bytes); everything that cannot be obeyed is answered with 502 and the reason. Once a request may
//! have been made it is never sent back or elsewhere, unless it may be made twice: so `timeout` bounds the connecting, and the
//! answer only for GET, PUT, DELETE and the like.
//!
//! Not played: `prefer_instance`, the names of continents, replays in JSON, the replay cache, websockets (501), HTTP/2.
//!
//! # What it costs
//!
//! A request from afar takes one crossing: connections to every instance are kept open from each place that somebody has chosen
//! within the last ten minutes. The header `x-edge: from=syd; instance=syd; replayed=nrt; ms=137` of an answer says what was done.

mod builder;
mod cookie;
mod delivery;
mod fields;
mod from;
mod headers;
mod journal;
mod map;
mod pages;
mod proxy;
mod refusal;
mod replay;
mod route;
mod serve;
mod stand;
mod standing;
mod upload;
mod visit;

use std::net::SocketAddr;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use archipelago_lab::Links;

pub use builder::{Builder, EdgeError, Instance};

/// The path of the edge's own page: where one stands, and what became of the last requests.
pub const PATH: &str = "/_edge";

/// A running edge. It stops when it is dropped, and requests in flight are cut off.
#[derive(Debug)]
#[must_use = "the edge stops when it is dropped"]
pub struct Edge {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Edge {
    /// Begins the description of an edge in front of these instances, which may start later, go, and come back.
    pub fn builder(lines: Links, instances: impl IntoIterator<Item = Instance>) -> Builder {
        Builder::new(lines, instances)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, and returns when those in flight are done, at most 10 seconds later.
    pub async fn shutdown(self) {
        // Nobody is there to be told when its runtime has ended before.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}
