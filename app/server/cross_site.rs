//! Refuses writes that another site makes a visitor's browser send.
//!
//! It trusts the browser's own headers, as Go's `http.CrossOriginProtection` does
//! (<https://pkg.go.dev/net/http#CrossOriginProtection>): `Sec-Fetch-Site`, which every current
//! browser sends and no page can set, else `Origin`. A request with neither comes from no browser,
//! so that no visitor's cookies were added to it.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, ORIGIN};
use actix_web::middleware::Next;
use archipelago::visitor::forwarded_scheme;

use crate::failure::Failure;

/// Middleware for [`from_fn`](actix_web::middleware::from_fn): such a write fails as
/// [`Failure::CrossSite`].
pub(super) async fn refuse_cross_site_writes(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let is_refused = !request.method().is_safe()
        && is_cross_site(request.headers(), request.connection_info().host());
    if is_refused {
        return Ok(request.error_response(Failure::CrossSite));
    }
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}

fn is_cross_site(headers: &HeaderMap, host: &str) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text("sec-fetch-site"), text(ORIGIN.as_str())) {
        (Some(site), _) => !matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => origin.split_once("://").is_none_or(|(scheme, from)| {
            // A proxy that ends TLS without telling it leaves the scheme unknown.
            from != host
                || forwarded_scheme(text).is_some_and(|own| !own.eq_ignore_ascii_case(scheme))
        }),
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_write_is_cross_site_by_the_browsers_headers() {
        const OWN: &str = "http://users.example:8080";
        const OVER_TLS: &str = "https://users.example:8080";
        for (site, origin, proxy, expected, why) in [
            (Some("same-origin"), None, None, false, "a form of these pages"),
            (Some("none"), None, None, false, "typed by the visitor"),
            (Some("cross-site"), None, None, true, "a form of another site"),
            (Some("same-site"), None, None, true, "another host under the same domain"),
            (Some("cross-site"), Some(OWN), None, true, "Sec-Fetch-Site wins over Origin"),
            (None, Some(OWN), None, false, "an older browser, on these pages"),
            (None, Some(OVER_TLS), None, false, "behind a proxy that does not tell of TLS"),
            (None, Some(OVER_TLS), Some("https"), false, "behind a proxy that does"),
            (None, Some(OWN), Some("https"), true, "these pages without TLS, where there is TLS"),
            (None, Some("http://users.example"), None, true, "another port"),
            (None, Some("https://evil.example"), None, true, "another host"),
            (None, Some("null"), None, true, "an origin that the browser hides"),
            (None, None, None, false, "no browser"),
        ] {
            let headers =
                [("sec-fetch-site", site), ("origin", origin), ("x-forwarded-proto", proxy)]
                    .into_iter()
                    .filter_map(|(name, value)| {
                        Some((HeaderName::from_static(name), HeaderValue::from_static(value?)))
                    })
                    .collect();
            assert_eq!(is_cross_site(&headers, "users.example:8080"), expected, "{why}");
        }
    }
}
