//! Bounds the wait for the body of a request: its time, and how many bodies this process waits for.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::{PayloadError, UrlencodedError};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{HttpMessage, HttpRequest};
use futures_util::stream::{Stream, StreamExt, try_unfold};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::exchange::Exchange;
use crate::failure::Failure;

/// How long a body may take. Actix bounds the time of a request's head only.
const WITHIN: Duration = Duration::from_secs(10);

/// For how many bodies this process waits at once.
static WAITING: Semaphore = Semaphore::const_new(1000);

/// Middleware for [`from_fn`](actix_web::middleware::from_fn).
pub(super) async fn bound_body<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let payload: Payload = match request.take_payload() {
        Payload::None => Payload::None,
        payload => {
            let exchange = request.conn_data::<Exchange>().cloned().unwrap_or_default();
            Payload::Stream { payload: Box::pin(bounded(payload, exchange)) }
        }
    };
    request.set_payload(payload);
    next.call(request).await
}

/// A body that fails where it takes too long, from the moment when it is first asked for. It ends where its
/// length says: Actix takes one with `upgrade: websocket` for a body without an end.
fn bounded(
    payload: Payload,
    exchange: Exchange,
) -> impl Stream<Item = Result<Bytes, PayloadError>> {
    // Nothing of it was read yet.
    let length = exchange.body_left();
    try_unfold((payload, exchange, length, None), async |(mut payload, exchange, left, begun)| {
        let (waiting, deadline) = match begun {
            Some(begun) => begun,
            None => match WAITING.try_acquire() {
                Ok(waiting) => (waiting, Instant::now() + WITHIN),
                Err(_) => return Err(failed(Failure::Crowded)),
            },
        };
        if left == Some(0) {
            exchange.note_end_of_body();
            return Ok(None);
        }
        match timeout_at(deadline, next_part(&mut payload, &exchange)).await {
            Ok(Some(part)) => {
                let part = part?;
                let left = left.map(|left| left.saturating_sub(part.len()));
                Ok(Some((part, (payload, exchange, left, Some((waiting, deadline))))))
            }
            Ok(None) => {
                exchange.note_end_of_body();
                Ok(None)
            }
            Err(_) => Err(failed(Failure::SlowBody)),
        }
    })
}

/// The next part. The connection reads further only while Actix has none, so that it reads no request
/// behind the body. A body of more than 32 KiB, of which Actix keeps some unparsed, has no reader here.
async fn next_part(
    payload: &mut Payload,
    exchange: &Exchange,
) -> Option<Result<Bytes, PayloadError>> {
    poll_fn(|context| {
        let part = payload.poll_next_unpin(context);
        if part.is_pending() {
            exchange.await_body();
        }
        part
    })
    .await
}

fn failed(failure: Failure) -> PayloadError {
    PayloadError::Io(io::Error::other(failure))
}

/// For `FormConfig`: a form whose body failed here has that failure.
pub(super) fn form_error(error: UrlencodedError, _: &HttpRequest) -> actix_web::Error {
    match error {
        UrlencodedError::Payload(PayloadError::Io(error)) => match error.downcast::<Failure>() {
            Ok(failure) => failure.into(),
            Err(error) => UrlencodedError::Payload(PayloadError::Io(error)).into(),
        },
        error => error.into(),
    }
}
