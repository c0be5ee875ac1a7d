//! One request on its way to an instance: to the first that can be reached.

use std::io;
use std::pin::pin;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::http::request::Parts;
use hyper::{Request, Response};
use tokio::time::{Instant, timeout, timeout_at};

use crate::map::Map;
use crate::refusal::{Reason, Refusal};
use crate::route::Route;
use crate::stand::Stand;
use crate::upload::{NotAgain, Sent, Upload};

/// A request, and where it sets out.
pub(crate) struct Delivery<'a> {
    pub(crate) map: &'a Map,
    pub(crate) place: &'a str,
    pub(crate) stand: &'a Stand,
    pub(crate) parts: Parts,
    pub(crate) upload: Upload,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For a connection to one instance.
    pub(crate) reach: Duration,
    /// From the last of the request to the head of the answer.
    pub(crate) answer: Duration,
}

/// Why an instance has not answered.
enum Failure {
    /// Nothing was sent.
    Unreachable(io::Error),
    /// Nothing was sent: there was no connection in time.
    Unconnected,
    /// Something was sent, and the connection broke.
    Lost(hyper::Error),
    /// It was sent, and no answer came in time.
    Late,
    NotAgain(NotAgain),
}

impl Delivery<'_> {
    /// Sends it to the first of these regions that takes it: who refuses the connection is passed over, and who breaks off
    /// before an answer too, as long as the request may be made twice (RFC 9110, section 9.2.2). Returns the region with its answer.
    ///
    /// # Errors
    /// [`Refusal::Nobody`], where nothing was done; others, where something may have been.
    pub(crate) async fn to_first_of(
        &self,
        regions: &[&str],
        patience: Patience,
    ) -> Result<(String, Response<Incoming>), Refusal> {
        let (mut tried, mut lost, mut reason) = (Vec::new(), None, Reason::NoCandidate);
        for route in regions
            .iter()
            .filter_map(|region| self.stand.routes.iter().find(|route| route.region == *region))
        {
            let region = route.region.clone();
            if self.map.lines.is_cut(self.place, &region) {
                tried.push(format!("{region} (the line is cut)"));
                continue;
            }
            match self.send(route, patience).await {
                Ok(answer) => return Ok((region, answer)),
                Err(Failure::Unreachable(error)) => {
                    tried.push(format!("{region} ({error})"));
                    reason = Reason::RetriesExhausted;
                }
                Err(Failure::Unconnected) => {
                    tried.push(format!("{region} (no connection within {:?})", patience.reach));
                    reason = Reason::Timeout;
                }
                Err(Failure::Lost(error)) => {
                    tracing::debug!(%error, region, "an instance broke off");
                    let refusal = Refusal::Lost { region };
                    if !self.parts.method.is_idempotent() {
                        return Err(refusal);
                    }
                    lost = Some(refusal);
                }
                Err(Failure::Late) => {
                    return Err(Refusal::Late { region, waited: patience.answer });
                }
                Err(Failure::NotAgain(why)) => return Err(Refusal::not_again(&region, why)),
            }
        }
        let tried = if tried.is_empty() {
            "there is none where it was to go".to_owned()
        } else {
            tried.join(", ")
        };
        Err(lost.unwrap_or(Refusal::Nobody { place: self.place.to_owned(), tried, reason }))
    }

    async fn send(&self, route: &Route, patience: Patience) -> Result<Response<Incoming>, Failure> {
        let connection = within(patience.reach, route.connect()).await?;
        let body = self.upload.body().await.map_err(Failure::NotAgain)?;
        let request = Request::from_parts(self.parts.clone(), body);
        let request = match self.send_on(connection, route, request, patience).await? {
            Ok(answer) => return Ok(answer),
            // The connection had waited for too long, and was closed just now.
            Err(unsent) => unsent,
        };
        let connection = within(patience.reach, route.open()).await?;
        let sent = self.send_on(connection, route, request, patience).await?;
        sent.map_err(|_| Failure::Unreachable(io::ErrorKind::ConnectionReset.into()))
    }

    /// The answer, or the request again if nothing of it was sent.
    async fn send_on(
        &self,
        mut connection: SendRequest<Sent>,
        route: &Route,
        request: Request<Sent>,
        patience: Patience,
    ) -> Result<Result<Response<Incoming>, Request<Sent>>, Failure> {
        match self.in_time(patience.answer, connection.try_send_request(request)).await {
            None => Err(Failure::Late),
            Some(Ok(answer)) => {
                route.keep(connection);
                Ok(Ok(answer))
            }
            Some(Err(mut error)) => match error.take_message() {
                Some(unsent) => Ok(Err(unsent)),
                None => Err(Failure::Lost(error.into_error())),
            },
        }
    }

    /// Waits as long as the visitor is sending, and then so much longer.
    async fn in_time<F: Future>(&self, limit: Duration, answer: F) -> Option<F::Output> {
        let began = Instant::now();
        let mut answer = pin!(answer);
        loop {
            let deadline = began.max(self.upload.last_moved()) + limit;
            match timeout_at(deadline, &mut answer).await {
                Ok(answer) => return Some(answer),
                Err(_) if self.upload.last_moved() + limit > Instant::now() => {}
                Err(_) => return None,
            }
        }
    }
}

async fn within<T>(
    limit: Duration,
    connecting: impl Future<Output = io::Result<T>>,
) -> Result<T, Failure> {
    match timeout(limit, connecting).await {
        Ok(connected) => connected.map_err(Failure::Unreachable),
        Err(_) => Err(Failure::Unconnected),
    }
}
