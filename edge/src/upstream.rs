//! Sends a request to an instance: to the first of the candidates that accepts it.

mod attempts;
pub(crate) mod body;
mod pool;
pub(crate) mod pools;

use std::io;
use std::pin::pin;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::http::request::Parts;
use hyper::{Request, Response};
use tokio::time::{Instant, timeout, timeout_at};

use self::attempts::{AttemptError, Attempts};
use self::body::{RequestBody, UpstreamBody};
use self::pool::ConnectionPool;
use self::pools::PlacePools;
use crate::error::ProxyError;

/// A request for an instance, and the pools of its visitor's place.
pub(crate) struct UpstreamRequest<'a> {
    pub(crate) pools: &'a PlacePools,
    pub(crate) parts: Parts,
    pub(crate) body: RequestBody,
}

/// How long one attempt may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// Until there is a connection.
    pub(crate) connect: Duration,
    /// From the end of the request to the head of the response.
    pub(crate) response: Duration,
}

/// What became of a request on one connection.
enum Sent {
    Response(Response<Incoming>),
    /// The connection was closed before any of the request was sent.
    Nothing(Request<UpstreamBody>),
}

impl UpstreamRequest<'_> {
    /// Sends the request to the first region that accepts it, and returns that region and the
    /// response.
    ///
    /// An instance that cannot be reached is skipped. So is one that closes the connection before
    /// it responds, if the request is idempotent.
    ///
    /// # Errors
    /// [`ProxyError::NoInstanceReached`] if no instance has processed the request. After any other
    /// error one may have.
    pub(crate) async fn send_to_first_of(
        &self,
        candidates: &[&str],
        timeouts: Timeouts,
    ) -> Result<(String, Response<Incoming>), ProxyError> {
        let mut attempts = Attempts::new(&self.pools.place, self.parts.method.is_idempotent());
        for pool in candidates.iter().filter_map(|region| self.pools.to(region)) {
            match self.send(pool, timeouts).await {
                Ok(response) => return Ok((pool.region.clone(), response)),
                Err(error) => attempts.record(&pool.region, error)?,
            }
        }
        Err(attempts.into_error())
    }

    async fn send(
        &self,
        pool: &ConnectionPool,
        timeouts: Timeouts,
    ) -> Result<Response<Incoming>, AttemptError> {
        if self.pools.is_cut(&pool.region) {
            return Err(AttemptError::LinkCut);
        }
        let connection = within(timeouts.connect, pool.checkout()).await?;
        let body = self.body.for_attempt().await.map_err(AttemptError::Body)?;
        let request = Request::from_parts(self.parts.clone(), body);
        let request = match self.send_on(connection, pool, request, timeouts).await? {
            Sent::Response(response) => return Ok(response),
            // The instance closed the idle connection just now.
            Sent::Nothing(request) => request,
        };
        let connection = within(timeouts.connect, pool.open()).await?;
        match self.send_on(connection, pool, request, timeouts).await? {
            Sent::Response(response) => Ok(response),
            Sent::Nothing(_) => {
                Err(AttemptError::Unreachable(io::ErrorKind::ConnectionReset.into()))
            }
        }
    }

    async fn send_on(
        &self,
        mut connection: SendRequest<UpstreamBody>,
        pool: &ConnectionPool,
        request: Request<UpstreamBody>,
        timeouts: Timeouts,
    ) -> Result<Sent, AttemptError> {
        match self.response_within(timeouts.response, connection.try_send_request(request)).await {
            None => Err(AttemptError::ResponseTimeout(timeouts.response)),
            Some(Ok(response)) => {
                pool.check_in(connection);
                Ok(Sent::Response(response))
            }
            Some(Err(mut error)) => match error.take_message() {
                Some(request) => Ok(Sent::Nothing(request)),
                None => {
                    let (error, region) = (error.into_error(), pool.region.as_str());
                    tracing::debug!(%error, region, "the connection to an instance was lost");
                    Err(AttemptError::ConnectionLost)
                }
            },
        }
    }

    /// Waits for the response while the visitor sends the body, and then for up to `limit`.
    async fn response_within<F: Future>(&self, limit: Duration, response: F) -> Option<F::Output> {
        let began = Instant::now();
        let mut response = pin!(response);
        loop {
            let deadline = began.max(self.body.last_received()) + limit;
            match timeout_at(deadline, &mut response).await {
                Ok(response) => return Some(response),
                Err(_) if self.body.last_received() + limit > Instant::now() => {}
                Err(_) => return None,
            }
        }
    }
}

async fn within<T>(
    limit: Duration,
    connecting: impl Future<Output = io::Result<T>>,
) -> Result<T, AttemptError> {
    match timeout(limit, connecting).await {
        Ok(connected) => connected.map_err(AttemptError::Unreachable),
        Err(_) => Err(AttemptError::ConnectTimeout(limit)),
    }
}
