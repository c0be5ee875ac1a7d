//! An edge in front of apps in Tokyo, Sydney and Chicago, and requests of visitors to it.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use archipelago_edge::{Builder, Edge};
use archipelago_lab::{Distances, Links};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::test_app::TestApp;

/// Headers of a request: names and values.
pub type Headers<'a> = &'a [(&'a str, &'a str)];

/// The visitor stands in Sydney.
pub const SYD: (&str, &str) = ("fly-prefer-region", "syd");

/// An edge and its apps. Tokyo is the default place.
pub struct Testbed {
    pub nrt: TestApp,
    pub syd: TestApp,
    pub ord: TestApp,
    pub links: Links,
    pub edge: Edge,
}

impl Testbed {
    pub async fn start() -> Self {
        Self::start_with(distances(), |edge| edge).await
    }

    pub async fn start_with(
        distances: Distances,
        describe: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let (nrt, syd, ord) =
            (TestApp::start("nrt").await, TestApp::start("syd").await, TestApp::start("ord").await);
        let links = Links::new(distances).unwrap();
        let instances = [nrt.instance(), syd.instance(), ord.instance()];
        let edge = describe(Edge::builder(links.clone(), instances)).start().await.unwrap();
        Self { nrt, syd, ord, links, edge }
    }

    /// Sends a request without a body.
    pub async fn get(&self, target: &str, headers: Headers<'_>) -> TestResponse {
        self.send("GET", target, headers, "").await
    }

    pub async fn send(
        &self,
        method: &str,
        target: &str,
        headers: Headers<'_>,
        body: impl Into<Bytes>,
    ) -> TestResponse {
        fetch(&self.edge, method, target, headers, Full::<Bytes>::new(body.into())).await
    }
}

/// Short round trips. Tokyo is the next nearest to Sydney, Sydney to Tokyo, Chicago to Paris.
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

pub fn request<B>(method: &str, target: &str, headers: Headers<'_>, body: B) -> Request<B> {
    let request = Request::builder().method(method).uri(target).header("host", "app.example");
    headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value))
        .body(body)
        .unwrap()
}

/// Sends a request on a connection of its own, and reads the whole response.
pub async fn fetch<B>(
    edge: &Edge,
    method: &str,
    target: &str,
    headers: Headers<'_>,
    body: B,
) -> TestResponse
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let request = request(method, target, headers, body);
    TestResponse::read(send(edge.address(), request).await).await
}

/// Sends a request on a connection of its own.
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

/// A response with its whole body.
#[derive(Debug)]
pub struct TestResponse {
    pub status: u16,
    pub body: Bytes,
    response: Response<()>,
}

impl TestResponse {
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

    /// The header `x-edge` without its time.
    pub fn hops(&self) -> &str {
        self.header("x-edge").unwrap().rsplit_once("; ms=").unwrap().0
    }
}
