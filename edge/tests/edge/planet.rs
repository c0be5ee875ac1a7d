//! A planet to test on: apps in Tokyo, Sydney and Chicago, an edge in front of them, and visitors.

use archipelago_edge::{Builder, Edge};
use archipelago_lab::{Distances, Links};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

use crate::app::App;

/// The apps behind an edge; the first is where those stand who do not say.
pub struct Planet {
    pub nrt: App,
    pub syd: App,
    pub ord: App,
    pub lines: Links,
    pub edge: Edge,
}

impl Planet {
    pub async fn start() -> Self {
        Self::start_with(distances(), |edge| edge).await
    }

    pub async fn start_with(
        distances: Distances,
        describe: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let (nrt, syd, ord) =
            (App::start("nrt").await, App::start("syd").await, App::start("ord").await);
        let lines = Links::new(distances).unwrap();
        let instances = [nrt.instance(), syd.instance(), ord.instance()];
        let edge = describe(Edge::builder(lines.clone(), instances)).start().await.unwrap();
        Self { nrt, syd, ord, lines, edge }
    }

    /// A request without a body.
    pub async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", target, headers, "").await
    }

    pub async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        Answer::read(
            send(
                self.edge.address(),
                request(method, target, headers, Full::<Bytes>::new(body.into())),
            )
            .await,
        )
        .await
    }
}

/// Near enough for quick tests, and in an order: Sydney's next is Tokyo, Tokyo's is Sydney, Paris's is Chicago.
pub fn distances() -> Distances {
    let milliseconds = Duration::from_millis;
    Distances::default()
        .with_round_trip("syd", "nrt", milliseconds(2))
        .with_round_trip("syd", "ord", milliseconds(4))
        .with_round_trip("nrt", "ord", milliseconds(3))
        .with_round_trip("cdg", "ord", milliseconds(1))
        .with_round_trip("cdg", "nrt", milliseconds(2))
        .with_round_trip("cdg", "syd", milliseconds(3))
}

pub fn request<B>(method: &str, target: &str, headers: &[(&str, &str)], body: B) -> Request<B> {
    let request = Request::builder().method(method).uri(target).header("host", "planet.example");
    headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value))
        .body(body)
        .unwrap()
}

/// A visitor who comes for one request.
pub async fn send<B>(edge: SocketAddr, request: Request<B>) -> Response<Incoming>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let stream = TcpStream::connect(edge).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(request).await.unwrap()
}

/// What a visitor got, all of it.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
    response: Response<()>,
}

impl Answer {
    pub async fn read(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: parts.status.as_u16(), body, response: Response::from_parts(parts, ()) }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    pub fn headers(&self, name: &str) -> Vec<&str> {
        self.response.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// `x-edge` without the time.
    pub fn done(&self) -> &str {
        self.header("x-edge").unwrap().rsplit_once("; ms=").unwrap().0
    }
}
