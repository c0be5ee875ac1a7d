//! Reads the body of each request before its handler runs: within a time, up to a size, and for so many
//! visitors at once.

use std::time::Duration;

use actix_web::HttpMessage;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use futures_util::stream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::failure::Failure;

/// How long a body may take. Actix bounds the time of a request's head only.
const WITHIN: Duration = Duration::from_secs(10);

/// For how many bodies this process waits at once. Each takes as much memory as a body may have.
static WAITING: Semaphore = Semaphore::const_new(1000);

/// Middleware for [`from_fn`](actix_web::middleware::from_fn). `PayloadConfig` has the largest size.
pub(super) async fn read_body(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let payload = request.take_payload();
    if !matches!(payload, Payload::None) {
        request.set_payload(payload);
        let Ok(_waiting) = WAITING.try_acquire() else {
            return Ok(request.error_response(Failure::Crowded));
        };
        let body = match timeout(WITHIN, request.extract::<Bytes>()).await {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => return Ok(request.error_response(error)),
            Err(_) => return Ok(request.error_response(Failure::SlowBody)),
        };
        let payload = Box::pin(stream::iter([Ok(body)]));
        request.set_payload(Payload::Stream { payload });
    }
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}
