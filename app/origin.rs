//! Refuses writes that another site makes a visitor's browser send.
//!
//! By the browser's own word, as Go's `http.CrossOriginProtection` does (<https://pkg.go.dev/net/http#CrossOriginProtection>):
//! `Sec-Fetch-Site`, which every current browser sends and no page can set, else `Origin`. A request with neither is no
//! browser's, and carries nobody's cookies unawares.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, ORIGIN};
use actix_web::middleware::Next;

use crate::failure::Failure;

/// Middleware for [`from_fn`](actix_web::middleware::from_fn): such a write ends as [`Failure::CrossSite`].
///
/// # Errors
/// What the handler's are.
pub async fn same_site_writes(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let refused = !request.method().is_safe()
        && is_cross_site(request.headers(), request.connection_info().host());
    if refused {
        return Ok(request.error_response(Failure::CrossSite));
    }
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}

fn is_cross_site(headers: &HeaderMap, host: &str) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text("sec-fetch-site"), text(ORIGIN.as_str())) {
        (Some(site), _) => !matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => origin.split_once("://").is_none_or(|(_, from)| from != host),
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn cross_site(headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        is_cross_site(&headers.collect(), "users.example:8080")
    }

    #[test]
    fn the_browsers_word_decides() {
        assert!(!cross_site(&[("sec-fetch-site", "same-origin")]));
        assert!(!cross_site(&[("sec-fetch-site", "none")]), "typed by the visitor");
        assert!(cross_site(&[("sec-fetch-site", "cross-site")]));
        assert!(
            cross_site(&[("sec-fetch-site", "same-site")]),
            "a neighbour under the same domain is another site"
        );
        assert!(cross_site(&[
            ("sec-fetch-site", "cross-site"),
            ("origin", "http://users.example:8080")
        ]));
    }

    #[test]
    fn an_older_browser_names_its_origin() {
        assert!(!cross_site(&[("origin", "http://users.example:8080")]));
        assert!(cross_site(&[("origin", "http://users.example")]), "another port");
        assert!(cross_site(&[("origin", "https://evil.example")]));
        assert!(cross_site(&[("origin", "null")]));
    }

    #[test]
    fn a_program_names_none() {
        assert!(!cross_site(&[]));
    }
}
