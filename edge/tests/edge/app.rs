//! A tiny app behind the edge: it remembers what it was asked, and answers as the request tells it to.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archipelago_edge::Instance;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

/// An instance: its name is that of its region.
pub struct App {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    region: String,
    seen: Mutex<Vec<Seen>>,
    /// Connections on which there was a request.
    connections: AtomicUsize,
    /// Lets go of what waits in `/slow` and `/stream`.
    go: Notify,
    /// A request was dropped before it was answered.
    dropped: Notify,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Answers with this `fly-replay`, unless the request has been replayed already.
pub const ASK: &str = "x-ask";
/// Answers with this `fly-replay` even then.
pub const INSIST: &str = "x-insist";

type Body = Either<Full<Bytes>, Channel<Bytes>>;

impl App {
    pub async fn start(region: &str) -> Self {
        Self::start_on(region, ([127, 0, 0, 1], 0).into()).await
    }

    pub async fn start_on(region: &str, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            region: region.to_owned(),
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            go: Notify::new(),
            dropped: Notify::new(),
        });
        let task = tokio::spawn(accept(listener, shared.clone()));
        Self { address, shared, task }
    }

    pub fn instance(&self) -> Instance {
        Instance { region: self.shared.region.clone(), address: self.address }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The one request that there was.
    pub fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    pub fn go(&self) {
        self.shared.go.notify_one();
    }

    pub async fn dropped(&self) {
        self.shared.dropped.notified().await;
    }

    /// Closes its port and all connections.
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
        async move { answer(request, &shared).await.ok_or("it breaks off") }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// No answer at all where the path is `/break`.
async fn answer(request: Request<Incoming>, shared: &Arc<Shared>) -> Option<Response<Body>> {
    let (parts, body) = request.into_parts();
    let asked = |name: &str| parts.headers.get(name).cloned();
    let again = parts.headers.contains_key("fly-replay-src")
        || parts.headers.contains_key("fly-replay-failed");
    let replay = asked(INSIST).or_else(|| asked(ASK).filter(|_| !again));
    let body = if parts.uri.path() == "/unread" && replay.is_some() {
        // As Actix does: answers from the head alone, and lets the rest come in and go.
        tokio::spawn(body.collect());
        Bytes::new()
    } else {
        body.collect().await.ok()?.to_bytes()
    };
    let target = parts.uri.to_string();
    let seen = Seen {
        method: parts.method,
        target: target.clone(),
        headers: parts.headers,
        body: body.clone(),
    };
    shared.seen.lock().unwrap().push(seen);
    if let Some(replay) = replay {
        let answer = Response::builder().status(StatusCode::CONFLICT).header("fly-replay", replay);
        return Some(answer.body(full("elsewhere")).unwrap());
    }
    let answer = Response::builder().header("x-region", shared.region.as_str());
    match target.as_str() {
        "/break" => None,
        "/slow" => {
            let mut told = Told(Some(shared.clone()));
            shared.go.notified().await;
            told.0 = None;
            Some(answer.body(full("at last")).unwrap())
        }
        "/stream" => {
            let (mut sender, channel) = Channel::new(1);
            let shared = shared.clone();
            tokio::spawn(async move {
                sender.send_data(Bytes::from_static(b"first ")).await.unwrap();
                shared.go.notified().await;
                sender.send_data(Bytes::from_static(b"last")).await.unwrap();
            });
            Some(answer.body(Either::Right(channel)).unwrap())
        }
        "/large" => Some(answer.body(Either::Left(Full::from(vec![7; 20_000_000]))).unwrap()),
        "/hop" => {
            let answer = answer
                .header("connection", "x-secret")
                .header("x-secret", "1")
                .header("keep-alive", "timeout=5");
            Some(
                answer
                    .header("set-cookie", "a=1")
                    .header("set-cookie", "b=2")
                    .body(full(""))
                    .unwrap(),
            )
        }
        "/echo" => Some(answer.body(Either::Left(Full::from(body))).unwrap()),
        "/json" => Some(
            answer
                .header("content-type", "application/vnd.fly.replay+json")
                .body(full("{}"))
                .unwrap(),
        ),
        _ => Some(answer.body(full(&shared.region)).unwrap()),
    }
}

fn full(text: &str) -> Body {
    Either::Left(Full::from(text.to_owned()))
}

/// Tells when it is dropped in the middle.
struct Told(Option<Arc<Shared>>);

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.dropped.notify_one();
        }
    }
}

/// What is a bound on everything here.
pub const SOON: Duration = Duration::from_secs(20);
