//! The middleware that tells the visitor which database served an answer, and what position it
//! showed.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;

use super::session::RequestSession;

/// Adds the headers `x-served-by` and `server-timing` to every answer that asked a database, and
/// the position that it showed, as a cookie and as a header. For
/// [`from_fn`](actix_web::middleware::from_fn).
///
/// # Errors
/// Those of the handler.
pub async fn answer_for(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let session = RequestSession::of(request.request());
    let mut response = next.call(request).await?;
    if let Some((served_by, elapsed)) = session.served() {
        let timing = format!("db;dur={:.1}", elapsed.as_secs_f64() * 1000.0);
        for (name, value) in [("x-served-by", served_by.to_string()), ("server-timing", timing)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
    }
    session.give(&mut response);
    Ok(response)
}
