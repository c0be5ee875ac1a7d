//! Accepts visitors' connections, and ends them when the edge stops.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::proxy::Proxy;

/// How long a visitor may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest head of a request, in bytes. A longer one gets status 431.
const HEAD_LIMIT: usize = 64 * 1024;

/// How long requests in flight may take when the edge shuts down.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait after a failed accept, which mostly means too many open files.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves until `shutdown` is sent, then waits for the requests in flight. If its sender is dropped
/// instead, these requests are aborted.
pub(crate) async fn serve(
    listener: TcpListener,
    proxy: Arc<Proxy>,
    mut shutdown: oneshot::Receiver<()>,
) {
    let graceful = GracefulShutdown::new();
    // A JoinSet aborts its tasks when it is dropped.
    let mut connections = JoinSet::new();
    let is_graceful = loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, visitor)) => {
                    let proxy = proxy.clone();
                    connections.spawn(serve_connection(stream, visitor.ip(), proxy, &graceful));
                }
                Err(error) => {
                    tracing::warn!(%error, "the edge cannot accept a connection");
                    sleep(ACCEPT_RETRY).await;
                }
            },
            Some(_) = connections.join_next() => {}
            sent = &mut shutdown => break sent.is_ok(),
        }
    };
    drop(listener);
    if is_graceful && timeout(SHUTDOWN_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!("the edge aborts requests still in flight after {SHUTDOWN_TIMEOUT:?}");
    }
}

fn serve_connection(
    stream: TcpStream,
    visitor: IpAddr,
    proxy: Arc<Proxy>,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    let service = service_fn(move |request| {
        let proxy = proxy.clone();
        async move { Ok::<_, Infallible>(proxy.respond(visitor, request).await) }
    });
    // Small responses are sent at once.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_header_size(HEAD_LIMIT);
    let served = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
    async move {
        if let Err(error) = served.await {
            tracing::debug!(%error, "a visitor's connection ended early");
        }
    }
}
