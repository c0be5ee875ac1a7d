//! How an edge is described, and how it starts.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archipelago_regions::built_in_places;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::journal::Journal;
use crate::map::Map;
use crate::proxy::Proxy;
use crate::replay::ANY;
use crate::{Edge, serve};
use archipelago_lab::Links;

/// A running app, in one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The code of its region; also its id, as there is one instance in a region: what the app should find as `FLY_REGION` and as
    /// `FLY_MACHINE_ID`.
    pub region: String,
    /// Where it listens for HTTP/1.1.
    pub address: SocketAddr,
}

/// Describes an [`Edge`]; see [`Edge::builder`].
#[derive(Debug)]
#[must_use]
pub struct Builder {
    lines: Links,
    instances: Vec<Instance>,
    places: BTreeMap<String, Option<Cow<'static, str>>>,
    default_place: Option<String>,
    app: Option<String>,
    listen: SocketAddr,
    listener: Option<std::net::TcpListener>,
    answer_within: Duration,
}

/// Why an edge did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EdgeError {
    /// There is nothing behind it.
    #[error("an edge without instances has nobody to send visitors to: give it one at least")]
    NoInstance,
    /// An instance's region was given twice.
    #[error(
        "there are two instances in `{region}`: an edge knows one in a region, by the region's code"
    )]
    InstanceTwice {
        /// The region given twice.
        region: String,
    },
    /// A place has a name that cannot be a region's, or one that means something else.
    #[error(
        "`{name}` cannot be the code of a place: write a lowercase letter first, then lowercase letters and digits, with a single `-` or `_` between them; not `any`, which means all"
    )]
    PlaceName {
        /// The name as given.
        name: String,
    },
    /// The default place is none that it knows.
    #[error(
        "the default place `{name}` is no place that the edge knows: name a region of an instance, or add it to the places"
    )]
    DefaultPlace {
        /// The name as given.
        name: String,
    },
    /// It cannot listen.
    #[error(
        "the edge cannot listen on {address}: {source}; stop what listens there, or choose another port"
    )]
    Listen {
        /// The address as given.
        address: SocketAddr,
        /// What the system answered.
        source: io::Error,
    },
}

impl Builder {
    pub(crate) fn new(lines: Links, instances: impl IntoIterator<Item = Instance>) -> Self {
        let places = built_in_places()
            .iter()
            .map(|place| (place.code.to_string(), place.city.map(Cow::Borrowed)));
        Self {
            lines,
            instances: instances.into_iter().collect(),
            places: places.collect(),
            default_place: None,
            app: None,
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            listener: None,
            answer_within: Duration::from_mins(1),
        }
    }

    /// Adds places where one can stand, beside Fly's regions and those of the instances.
    pub fn places<P: Into<String>>(mut self, places: impl IntoIterator<Item = P>) -> Self {
        for place in places {
            self.places.entry(place.into()).or_default();
        }
        self
    }

    /// Where those stand who do not say; without this, where the first instance is. The primary's region suits clients that know
    /// nothing of places.
    pub fn default_place(mut self, place: impl Into<String>) -> Self {
        self.default_place = Some(place.into());
        self
    }

    /// The app's name, as in `FLY_APP_NAME`: a `fly-replay` that says `app=` must mean it.
    pub fn app(mut self, name: impl Into<String>) -> Self {
        self.app = Some(name.into());
        self
    }

    /// Where to listen; without this on a free port of 127.0.0.1. On other addresses than the loopback interface's it serves
    /// everybody who can reach it.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// A listener that is bound already, instead of an address: a port that is taken then shows before anything else is started.
    pub fn listener(mut self, listener: std::net::TcpListener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// How long an instance may take from the last of the request to the head of its answer; 60 seconds without this.
    pub fn answer_within(mut self, limit: Duration) -> Self {
        self.answer_within = limit;
        self
    }

    /// Starts to listen. It serves on the runtime it is started on, for as long as that lives.
    ///
    /// # Errors
    /// Every [`EdgeError`] says what is wrong and what to do about it. It is no error that an instance is not up yet.
    pub async fn start(mut self) -> Result<Edge, EdgeError> {
        let first = self.instances.first().ok_or(EdgeError::NoInstance)?;
        let default_place = self.default_place.unwrap_or_else(|| first.region.clone());
        let mut regions = HashSet::new();
        for Instance { region, .. } in &self.instances {
            if !regions.insert(region) {
                return Err(EdgeError::InstanceTwice { region: region.clone() });
            }
            self.places.entry(region.clone()).or_default();
        }
        if let Some(name) =
            self.places.keys().find(|name| *name == ANY || !archipelago_lab::is_region_name(name))
        {
            return Err(EdgeError::PlaceName { name: name.clone() });
        }
        if !self.places.contains_key(&default_place) {
            return Err(EdgeError::DefaultPlace { name: default_place });
        }

        let failed = |source| EdgeError::Listen { address: self.listen, source };
        let listener = match self.listener {
            Some(bound) => bound.set_nonblocking(true).and_then(|()| TcpListener::from_std(bound)),
            None => TcpListener::bind(self.listen).await,
        };
        let listener = listener.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let Self { instances, places, app, lines, answer_within, .. } = self;
        let map = Map { places, instances, default_place, app, lines, stands: Mutex::default() };
        let proxy = Proxy { map, journal: Journal::default(), answer_within, address };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve::serve(listener, Arc::new(proxy), stopped));
        Ok(Edge { address, stop, task })
    }
}
