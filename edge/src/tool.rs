//! A tool beside the app: a server of its own, which the edge shows under a path of the same site.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::http::request::Parts;
use hyper::{Request, Response, Uri, Version};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::headers::hop_by_hop;

/// For the tool to accept a connection: it is on this machine.
const CONNECTING: Duration = Duration::from_secs(1);

/// Where a tool is, and the paths that it answers.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(crate) prefix: String,
    pub(crate) address: SocketAddr,
}

impl Tool {
    pub(crate) fn answers(&self, uri: &Uri) -> bool {
        uri.path().starts_with(&self.prefix)
    }

    /// Hands a request over, on a connection of its own and without any distance.
    pub(crate) async fn ask(
        &self,
        mut parts: Parts,
        body: Incoming,
    ) -> io::Result<Response<Incoming>> {
        hop_by_hop::remove(&mut parts.headers);
        // As a server gets it from a client: without the host that a proxy may be asked for.
        parts.version = Version::HTTP_11;
        parts.uri = parts.uri.path_and_query().map_or_else(Uri::default, |it| it.clone().into());
        let stream = timeout(CONNECTING, TcpStream::connect(self.address)).await??;
        stream.set_nodelay(true)?;
        let handshake = http1::handshake::<_, BoxBody<Bytes, hyper::Error>>(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        let request = Request::from_parts(parts, BoxBody::new(body));
        let mut response = sender.send_request(request).await.map_err(io::Error::other)?;
        hop_by_hop::remove(response.headers_mut());
        Ok(response)
    }
}
