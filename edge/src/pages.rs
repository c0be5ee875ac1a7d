//! The edge's own pages: choose a place, see the last requests, read why there is no response.

use askama::Template;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode, Uri};

use crate::access_log::{AccessLog, Visit};
use crate::error::ProxyError;
use crate::router::Router;
use crate::visitor::{PlaceSource, VisitorPlace, from_parameter};

/// The path of the edge's own page, which shows the visitor's place and the last requests.
pub const STATUS_PATH: &str = "/_edge";

/// A place that the visitor can choose.
struct PlaceOption<'a> {
    code: &'a str,
    city: &'a str,
    /// The page that the visitor wanted, with `?from=` this place.
    link: String,
    is_current: bool,
    /// The nearest instance and its round trip in milliseconds. `None` if every link is cut.
    nearest: Option<(&'a str, u128)>,
}

#[derive(Template)]
#[template(path = "choose_place.html")]
struct ChoosePlacePage<'a> {
    nonce: String,
    places: Vec<PlaceOption<'a>>,
}

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage<'a> {
    nonce: String,
    places: Vec<PlaceOption<'a>>,
    city: &'a str,
    /// Whether the visitor has chosen no place.
    is_default: bool,
    entries: Vec<Visit>,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    nonce: String,
    places: Vec<PlaceOption<'a>>,
    status: StatusCode,
    message: String,
}

/// The page that asks for the visitor's place. Its links lead to the page that the visitor wanted.
pub(crate) fn choose_place(router: &Router, wanted: &Uri) -> Response<Full<Bytes>> {
    let (nonce, places) = (nonce(), place_options(router, wanted, None));
    html(StatusCode::OK, &nonce, &ChoosePlacePage { nonce: nonce.clone(), places })
}

/// The page at [`STATUS_PATH`].
pub(crate) fn status(
    router: &Router,
    log: &AccessLog,
    visitor: &VisitorPlace,
) -> Response<Full<Bytes>> {
    let nonce = nonce();
    let status = StatusPage {
        nonce: nonce.clone(),
        places: place_options(router, &Uri::from_static(STATUS_PATH), Some(&visitor.place)),
        city: router.places.city(&visitor.place),
        is_default: visitor.source == PlaceSource::Default,
        entries: log.since(0),
    };
    html(StatusCode::OK, &nonce, &status)
}

/// The response for an error: a page for a browser that navigates, else a line of text.
pub(crate) fn error(
    router: &Router,
    error: &ProxyError,
    wanted: &Uri,
    is_navigation: bool,
) -> Response<Full<Bytes>> {
    let (status, message) = (error.status(), error.to_string());
    let mut response = if is_navigation {
        let nonce = nonce();
        let places = match error {
            ProxyError::UnknownPlace(_) => place_options(router, wanted, None),
            _ => Vec::new(),
        };
        html(status, &nonce, &ErrorPage { nonce: nonce.clone(), places, status, message })
    } else {
        uncached(status, "text/plain; charset=utf-8", format!("{message}\n"))
    };
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

fn place_options<'a>(
    router: &'a Router,
    wanted: &Uri,
    current: Option<&str>,
) -> Vec<PlaceOption<'a>> {
    let option = |code: &'a str| PlaceOption {
        code,
        city: router.places.city(code),
        link: from_parameter::link(wanted, code),
        is_current: current == Some(code),
        nearest: router.nearest_reachable(code).map(|(region, time)| (region, time.as_millis())),
    };
    router.places.codes().map(option).collect()
}

/// Allows the one style element of a page.
fn nonce() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn html(status: StatusCode, nonce: &str, page: &impl Template) -> Response<Full<Bytes>> {
    let Ok(html) = page.render() else {
        return uncached(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain",
            "the edge cannot render its page\n".to_owned(),
        );
    };
    let mut response = uncached(status, "text/html; charset=utf-8", html);
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    if let Ok(policy) = policy.parse() {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn uncached(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let headers = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
