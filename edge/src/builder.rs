//! Describes an edge, checks the description, and starts the edge.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use archipelago_lab::Links;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::access_log::AccessLog;
use crate::instance::Instance;
use crate::places::Places;
use crate::proxy::Proxy;
use crate::router::Router;
use crate::tool::Tool;
use crate::upstream::pools::Pools;
use crate::{Edge, server};

/// Describes an [`Edge`]; see [`Edge::builder`].
#[derive(Debug)]
#[must_use]
pub struct Builder {
    links: Links,
    instances: Vec<Instance>,
    /// Beside Fly's regions and those of the instances.
    places: Vec<String>,
    default_place: Option<String>,
    app: Option<String>,
    listen: SocketAddr,
    listener: Option<std::net::TcpListener>,
    response_timeout: Duration,
    tool: Option<Tool>,
}

/// Why an edge did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EdgeError {
    /// There is no instance.
    #[error("the edge has no instance to forward requests to: give it at least one")]
    NoInstance,
    /// Two instances are in the same region.
    #[error("two instances are in `{region}`: the edge takes one instance per region")]
    DuplicateRegion {
        /// The region of both.
        region: String,
    },
    /// The code of a place is malformed or reserved.
    #[error(
        "`{code}` cannot be the code of a place: start with a lowercase letter, then write \
         lowercase letters and digits, with a single `-` or `_` between them; `any` is reserved"
    )]
    InvalidPlace {
        /// The code as given.
        code: String,
    },
    /// The default place is not a place of this edge.
    #[error(
        "unknown default place `{code}`: name the region of an instance, or add it to the places"
    )]
    UnknownDefaultPlace {
        /// The code as given.
        code: String,
    },
    /// The edge cannot listen on its address.
    #[error(
        "the edge cannot listen on {address}: {source}; stop the program that listens there, or \
         choose another port"
    )]
    Listen {
        /// The address as given.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
}

impl Builder {
    pub(crate) fn new(links: Links, instances: impl IntoIterator<Item = Instance>) -> Self {
        Self {
            links,
            instances: instances.into_iter().collect(),
            places: Vec::new(),
            default_place: None,
            app: None,
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            listener: None,
            response_timeout: Duration::from_mins(1),
            tool: None,
        }
    }

    /// Adds places where a visitor can stand. Fly's regions and those of the instances are always
    /// among them.
    pub fn places<P: Into<String>>(mut self, places: impl IntoIterator<Item = P>) -> Self {
        self.places.extend(places.into_iter().map(Into::into));
        self
    }

    /// Sets the place of visitors who have not chosen one. By default it is the region of the first
    /// instance. The primary's region suits clients that do not know about places.
    pub fn default_place(mut self, place: impl Into<String>) -> Self {
        self.default_place = Some(place.into());
        self
    }

    /// Sets the app's name, as in `FLY_APP_NAME`. A `fly-replay` with `app=` must name this app.
    pub fn app(mut self, name: impl Into<String>) -> Self {
        self.app = Some(name.into());
        self
    }

    /// Sets the address to listen on. By default it is a free port of 127.0.0.1. On any address but
    /// a loopback one, the edge serves every computer that can reach it.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Takes a bound listener instead of an address. Bind it early to find out that a port is in
    /// use before anything else starts.
    pub fn listener(mut self, listener: std::net::TcpListener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// A server on this machine that answers every path that begins with `prefix`, in place of the
    /// instances and without any distance: for a tool that shares the site's cookies.
    pub fn tool(mut self, prefix: impl Into<String>, address: SocketAddr) -> Self {
        self.tool = Some(Tool { prefix: prefix.into(), address });
        self
    }

    /// Sets how long an instance may take from the end of the request to the head of its response.
    /// By default it is 60 seconds.
    pub fn response_timeout(mut self, limit: Duration) -> Self {
        self.response_timeout = limit;
        self
    }

    /// Starts the edge on the current tokio runtime. The instances may start later.
    ///
    /// # Errors
    /// When the description is wrong or the address is in use; see [`EdgeError`].
    pub async fn start(self) -> Result<Edge, EdgeError> {
        let places = self.checked_places()?;
        let failed = |source| EdgeError::Listen { address: self.listen, source };
        let listener = match self.listener {
            Some(bound) => bound.set_nonblocking(true).and_then(|()| TcpListener::from_std(bound)),
            None => TcpListener::bind(self.listen).await,
        };
        let listener = listener.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let Self { instances, links, app, response_timeout, tool, .. } = self;
        let log = Arc::new(AccessLog::default());
        let proxy = Proxy {
            pools: Pools::new(instances.clone(), links.clone()),
            router: Router { places, instances, app, links },
            log: log.clone(),
            tool,
            response_timeout,
            address,
        };
        let (shutdown, receiver) = oneshot::channel();
        let task = tokio::spawn(server::serve(listener, Arc::new(proxy), receiver));
        Ok(Edge { address, log, shutdown, task })
    }

    fn checked_places(&self) -> Result<Places, EdgeError> {
        let first = self.instances.first().ok_or(EdgeError::NoInstance)?;
        let mut regions = HashSet::new();
        for Instance { region, .. } in &self.instances {
            if !regions.insert(region) {
                return Err(EdgeError::DuplicateRegion { region: region.clone() });
            }
        }
        let default = self.default_place.as_ref().unwrap_or(&first.region).clone();
        let codes = self.places.iter().chain(regions).cloned();
        let places = Places::new(codes, default);
        if let Some(code) = places.invalid_code() {
            return Err(EdgeError::InvalidPlace { code: code.to_owned() });
        }
        if !places.contains(&places.default) {
            return Err(EdgeError::UnknownDefaultPlace { code: places.default });
        }
        Ok(places)
    }
}
