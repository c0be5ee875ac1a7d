//! A small app behind the edge: it records its requests, and responds as each request asks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use archipelago_edge::Instance;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

/// A running instance of the app.
pub struct TestApp {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    region: String,
    requests: Mutex<Vec<Received>>,
    /// How many connections had a request.
    connections: AtomicUsize,
    /// Lets `/slow` and `/stream` go on.
    go_on: Notify,
    /// Notified when a request to `/slow` is dropped before its response.
    dropped: Notify,
}

/// A request as the app received it.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A request header: respond with this `fly-replay`, unless the request is replayed already.
pub const REPLAY_ONCE: &str = "x-replay-once";
/// A request header: respond with this `fly-replay` in any case.
pub const REPLAY_ALWAYS: &str = "x-replay-always";

type Body = Either<Full<Bytes>, Channel<Bytes>>;

impl TestApp {
    pub async fn start(region: &str) -> Self {
        Self::start_on(region, ([127, 0, 0, 1], 0).into()).await
    }

    pub async fn start_on(region: &str, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            region: region.to_owned(),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            go_on: Notify::new(),
            dropped: Notify::new(),
        });
        let task = tokio::spawn(accept(listener, shared.clone()));
        Self { address, shared, task }
    }

    pub fn instance(&self) -> Instance {
        Instance { region: self.shared.region.clone(), address: self.address }
    }

    pub fn requests(&self) -> Vec<Received> {
        self.shared.requests.lock().clone()
    }

    /// The request, of which there must be exactly one.
    pub fn only_request(&self) -> Received {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Lets one request to `/slow` or `/stream` go on.
    pub fn go_on(&self) {
        self.shared.go_on.notify_one();
    }

    /// Waits until a request to `/slow` is dropped.
    pub async fn dropped(&self) {
        self.shared.dropped.notified().await;
    }

    /// Closes the listener and all connections.
    pub async fn stop(self) -> SocketAddr {
        self.task.abort();
        let _ = self.task.await;
        self.address
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(connection(stream, shared.clone()));
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let first = Arc::new(AtomicUsize::new(1));
    let service = service_fn(move |request| {
        shared.connections.fetch_add(first.swap(0, Ordering::SeqCst), Ordering::SeqCst);
        let shared = shared.clone();
        async move { respond(request, &shared).await.ok_or("the app closes the connection") }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The response. `None` closes the connection instead.
async fn respond(request: Request<Incoming>, shared: &Arc<Shared>) -> Option<Response<Body>> {
    let (parts, body) = request.into_parts();
    let header = |name: &str| parts.headers.get(name).cloned();
    let is_replayed = parts.headers.contains_key("fly-replay-src")
        || parts.headers.contains_key("fly-replay-failed");
    let replay = header(REPLAY_ALWAYS).or_else(|| header(REPLAY_ONCE).filter(|_| !is_replayed));
    let body = if parts.uri.path() == "/unread" && replay.is_some() {
        // Like Actix: responds after the head, and discards the body as it arrives.
        tokio::spawn(body.collect());
        Bytes::new()
    } else {
        body.collect().await.ok()?.to_bytes()
    };
    let target = parts.uri.to_string();
    shared.requests.lock().push(Received {
        method: parts.method,
        target: target.clone(),
        headers: parts.headers,
        body: body.clone(),
    });
    if let Some(replay) = replay {
        let response =
            Response::builder().status(StatusCode::CONFLICT).header("fly-replay", replay);
        return Some(response.body(full("elsewhere")).unwrap());
    }
    let response = Response::builder().header("x-region", shared.region.as_str());
    let (response, body) = match target.as_str() {
        "/close" => return None,
        "/slow" => {
            let mut guard = NotifyDropped(Some(shared.clone()));
            shared.go_on.notified().await;
            guard.0 = None;
            (response, full("at last"))
        }
        "/stream" => {
            let (mut sender, channel) = Channel::new(1);
            let shared = shared.clone();
            tokio::spawn(async move {
                sender.send_data(Bytes::from_static(b"first ")).await.unwrap();
                shared.go_on.notified().await;
                sender.send_data(Bytes::from_static(b"last")).await.unwrap();
            });
            (response, Either::Right(channel))
        }
        "/large" => (response, Either::Left(Full::from(vec![7; 20_000_000]))),
        "/hop" => {
            let response = response
                .header("connection", "x-secret")
                .header("x-secret", "1")
                .header("keep-alive", "timeout=5")
                .header("set-cookie", "a=1")
                .header("set-cookie", "b=2");
            (response, full(""))
        }
        "/echo" => (response, Either::Left(Full::from(body))),
        "/json" => (response.header("content-type", "application/vnd.fly.replay+json"), full("{}")),
        _ => (response, full(&shared.region)),
    };
    Some(response.body(body).unwrap())
}

fn full(text: &str) -> Body {
    Either::Left(Full::from(text.to_owned()))
}

/// Notifies if it is dropped while it holds the app.
struct NotifyDropped(Option<Arc<Shared>>);

impl Drop for NotifyDropped {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.dropped.notify_one();
        }
    }
}

/// How long a test waits for anything.
pub const DEADLINE: Duration = Duration::from_secs(20);
