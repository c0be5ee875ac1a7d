//! Runs each request that reads in a task of its own: Actix looks for the next request of a connection
//! whenever the task of that connection is woken, and a handler that waits for a database is woken
//! several times.

use std::panic::resume_unwind;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::ErrorInternalServerError;
use actix_web::middleware::Next;
use actix_web::rt;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// Middleware for [`from_fn`](actix_web::middleware::from_fn). The task ends with its connection, and
/// the connection with a panic of the task.
pub(super) async fn in_own_task<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    // `body` reads one in the connection's own task: Actix has parsed what it was given before it polls
    // the handler.
    if !request.method().is_safe() {
        return next.call(request).await;
    }
    let answer = next.call(request).in_current_span();
    // The log's span is the inner one, and the only one that is entered there.
    #[cfg(feature = "otlp")]
    let answer = opentelemetry::context::FutureExt::with_current_context(answer);
    let task = rt::spawn(answer);
    match AbortOnDropHandle::new(task).await {
        Ok(answer) => answer,
        Err(error) => Err(match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(error) => ErrorInternalServerError(error),
        }),
    }
}
