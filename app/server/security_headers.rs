//! The headers by which browsers protect a visitor of these pages.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CONTENT_SECURITY_POLICY, CROSS_ORIGIN_OPENER_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use archipelago::actix::is_secure;

use crate::urls;

/// A page may load styles and images of this site only, and no script at all.
const CONTENT: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// That of the regions updates itself, by a script of this site.
const LIVE_CONTENT: &str = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT)),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin")),
];

/// For a year the browser comes over TLS only. Other hosts of the domain decide for themselves.
const TLS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Middleware for [`from_fn`](actix_web::middleware::from_fn): adds them to every
/// answer of a page, in place of its own.
pub(super) async fn add_security_headers<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let mut response = next.call(request).await?;
    let is_secure = is_secure(response.request());
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, value);
    }
    if response.request().path() == urls::REGIONS {
        let content = HeaderValue::from_static(LIVE_CONTENT);
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, content);
    }
    if is_secure {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, TLS_ONLY);
    }
    Ok(response)
}
