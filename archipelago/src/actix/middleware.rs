//! The middleware that tells the visitor which database served an answer, and what position it
//! showed.

use actix_web::HttpRequest;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;

use super::session::session_of;
use crate::visitor::{Signer, forwarded_scheme};

/// Adds the headers `x-served-by` and `server-timing` to every answer that asked a database, and
/// the position that it showed, as a cookie and as a header. Such an answer is `cache-control:
/// private, no-cache`, unless the handler says otherwise. For
/// [`from_fn`](actix_web::middleware::from_fn).
///
/// # Errors
/// Those of the handler.
pub async fn answer_for(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let session = session_of(request.request());
    let mut response = next.call(request).await?;
    let Some(signer) = response.request().app_data::<Data<Signer>>().cloned() else {
        return Ok(response);
    };
    let is_secure = is_secure(response.request());
    let says_of_caches = response.headers().contains_key(CACHE_CONTROL);
    for (name, value) in signer.answer_headers(&session, is_secure) {
        let name = HeaderName::from_static(name);
        if let Ok(value) = HeaderValue::try_from(value)
            && !(says_of_caches && name == CACHE_CONTROL)
        {
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}

/// Whether the visitor came over TLS: by the headers `forwarded` and `x-forwarded-proto` of the
/// proxy in front, else by the server's own configuration.
#[must_use]
pub fn is_secure(request: &HttpRequest) -> bool {
    let value = |name: &str| request.headers().get(name)?.to_str().ok();
    let scheme = forwarded_scheme(value);
    scheme.map_or_else(
        || request.app_config().secure(),
        |scheme| scheme.eq_ignore_ascii_case("https"),
    )
}
