//! The edge's own door: visitors' connections, from the first to the last.

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

/// For the head of a request, so that nobody keeps a connection open by never finishing it.
const HEAD: Duration = Duration::from_secs(30);

/// In bytes, for the head of a request: cookies and all. What is longer is answered with 431.
const LONGEST_HEAD: usize = 64 * 1024;

/// For requests in flight when the edge is to stop.
const GRACE: Duration = Duration::from_secs(10);

/// After which a failed accept (out of file descriptors, as a rule) is tried again.
const BREATH: Duration = Duration::from_millis(100);

/// Serves until it is told to stop, and ends what is in flight; or until the other end of `stopped` is dropped, and cuts it off.
pub(crate) async fn serve(
    listener: TcpListener,
    proxy: Arc<Proxy>,
    mut stopped: oneshot::Receiver<()>,
) {
    let graceful = GracefulShutdown::new();
    // Whoever is still in here at the end is cut off.
    let mut connections = JoinSet::new();
    let in_order = loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, visitor)) => drop(connections.spawn(connection(stream, visitor.ip(), proxy.clone(), &graceful))),
                Err(error) => {
                    tracing::warn!(%error, "the edge took no connection");
                    sleep(BREATH).await;
                }
            },
            Some(_) = connections.join_next() => {}
            order = &mut stopped => break order.is_ok(),
        }
    };
    drop(listener);
    if in_order && timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("the edge cut off requests that took too long to end");
    }
}

fn connection(
    stream: TcpStream,
    visitor: IpAddr,
    proxy: Arc<Proxy>,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    let answer = service_fn(move |request| {
        let proxy = proxy.clone();
        async move { Ok::<_, Infallible>(proxy.answer(visitor, request).await) }
    });
    // Small answers must not wait for more to send.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_header_size(LONGEST_HEAD);
    let served = graceful.watch(http.serve_connection(TokioIo::new(stream), answer));
    async move {
        if let Err(error) = served.await {
            tracing::debug!(%error, "a visitor's connection ended early");
        }
    }
}
