//! An HTTP proxy that plays Fly.io's on one machine, in front of the instances of an app.
//!
//! The app runs one instance in each region. A visitor opens the edge's address and chooses a place
//! on Earth. The edge forwards each request to the instance that is nearest to that place, over a
//! [link](archipelago_lab::Links) as slow as the distance. So reads feel local, and writes feel as
//! far away as the primary is.
//!
//! ```no_run
//! # async fn example(world: archipelago_lab::World) -> Result<(), Box<dyn std::error::Error>> {
//! use archipelago_edge::{Edge, Instance};
//!
//! let instance = |region: &str, port| Instance {
//!     region: region.to_owned(),
//!     address: ([127, 0, 0, 1], port).into(),
//! };
//! let instances = [instance("nrt", 8081), instance("syd", 8082)];
//! let edge = Edge::builder(world.links().clone(), instances).start().await?;
//! println!("http://{}", edge.address());
//! edge.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! From archipelago-lab the edge takes the links, their distances, and the form of a region code.
//! It knows neither Postgres nor the app.
//!
//! # The visitor's place
//!
//! | named by | holds for |
//! | --- | --- |
//! | the header `fly-prefer-region: syd`; the first place of a list | this request |
//! | `?from=syd` in the URL | this request and all later ones |
//! | the cookie `edge_from`, which a response to `?from=` sets | until the browser is closed |
//!
//! The first of these three that a request has wins. A GET or HEAD with `?from=` is redirected to
//! the same URL without it. Any other request is forwarded without it.
//!
//! If a request names no place, a browser that opens a page gets a page with all places to choose
//! from. Any other client stands at [`Builder::default_place`]. An unknown place gets status 400
//! with a list of the known ones.
//!
//! Instances see neither the parameter `from` nor the cookie. They get no request for
//! [`STATUS_PATH`].
//!
//! # Which instance responds
//!
//! The edge tries the instances in the order of their distance from the visitor's place.
//!
//! - It skips an instance that accepts no connection, and one behind a link that is cut.
//! - If an instance closes the connection before it responds, an idempotent request (GET, PUT,
//!   DELETE …) goes to the next instance. Any other gets status 502, because the instance may have
//!   processed it.
//! - If no response begins within [`Builder::response_timeout`] after the end of the request, the
//!   visitor gets status 504.
//! - With `fly-force-region: nrt` the edge tries only that region's instance. If it cannot be
//!   reached, the visitor gets status 503.
//!
//! # What an instance gets
//!
//! The instance gets the visitor's request, with its `Host`, and with the headers of Fly's proxy:
//! `fly-region` (the visitor's place), `fly-client-ip`, `fly-request-id`, `x-forwarded-for`,
//! `x-forwarded-proto` and `via`. Values that a visitor sends for Fly's headers are replaced.
//!
//! # Replays
//!
//! A response with `fly-replay` makes the edge send the request elsewhere, as
//! <https://fly.io/docs/networking/dynamic-request-routing/> describes.
//!
//! - The fields are `region` (a list is quoted; `any` means all others), `instance`, `app`,
//!   `elsewhere`, `state`, `timeout` and `fallback`.
//! - The target finds `fly-replay-src` on the request. If the replay reaches no instance and the
//!   request returns to its source, the source finds `fly-replay-failed`.
//! - A request is replayed once, and only if its body has at most 1 MB (1,000,000 bytes). A replay
//!   that cannot be followed gets status 502 with the reason.
//! - A request that an instance may have processed goes to another one only if it is idempotent. So
//!   `timeout` always bounds the time to connect, but the response only of an idempotent request.
//!
//! Not supported: `prefer_instance`, the names of continents, replays in JSON, the replay cache,
//! websockets (status 501) and HTTP/2.
//!
//! # Latency
//!
//! A forwarded request crosses the link once. For that the edge keeps connections open to every
//! instance, from each place that had a request within the last ten minutes. The header `x-edge` of
//! a response tells where the request went: `from=syd; instance=syd; replayed=nrt; ms=137`.

// The way of a request: server accepts it; proxy takes the steps; visitor finds the visitor's
// place; router chooses the candidates; upstream sends it to one of them; replay follows the
// response's fly-replay; access_log and pages show where it went.
mod access_log;
mod builder;
mod error;
mod headers;
mod instance;
mod pages;
mod places;
mod proxy;
mod replay;
mod router;
mod server;
mod tool;
mod upstream;
mod visitor;

use std::net::SocketAddr;
use std::sync::Arc;

use archipelago_lab::Links;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::access_log::AccessLog;
pub use access_log::{Hops, Visit};
pub use builder::{Builder, EdgeError};
pub use instance::Instance;
pub use pages::STATUS_PATH;

/// The examples of the README are compiled like those of the code.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// A running edge. When it is dropped, it stops and aborts the requests in flight.
#[derive(Debug)]
#[must_use = "the edge stops when it is dropped"]
pub struct Edge {
    address: SocketAddr,
    log: Arc<AccessLog>,
    shutdown: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Edge {
    /// Describes an edge in front of these instances, which may start, stop and restart at any
    /// time.
    pub fn builder(links: Links, instances: impl IntoIterator<Item = Instance>) -> Builder {
        Builder::new(links, instances)
    }

    /// The address on which the edge listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The last visits, of which it keeps 50.
    #[must_use]
    pub fn visits(&self) -> Visits {
        Visits(self.log.clone())
    }

    /// Accepts no more requests, and waits up to 10 seconds for those in flight.
    pub async fn shutdown(self) {
        // Both fail only if the edge's runtime has already ended.
        let _ = self.shutdown.send(());
        let _ = self.task.await;
    }
}

/// The last visits of an edge, also after it has stopped.
#[derive(Clone, Debug)]
pub struct Visits(Arc<AccessLog>);

impl Visits {
    /// The visits after the one with this number, the newest first; all of them after 0.
    #[must_use]
    pub fn since(&self, number: u64) -> Vec<Visit> {
        self.0.since(number)
    }
}
