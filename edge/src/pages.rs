//! The edge's own pages: where on Earth one stands, what became of the last requests, and why there is no answer.

use askama::Template;
use http_body_util::{Either, Full};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode, Uri};

use crate::PATH;
use crate::from;
use crate::journal::Entry;
use crate::proxy::{Body, Proxy};
use crate::refusal::Refusal;
use crate::standing::{SaidBy, Standing};

/// A place to choose.
struct Row<'a> {
    code: &'a str,
    city: &'a str,
    /// The page that was wanted, seen from there.
    link: String,
    is_here: bool,
    /// The nearest instance and the round trip to it; none where every line is cut.
    nearest: Option<(&'a str, u128)>,
}

#[derive(Template)]
#[template(path = "question.html")]
struct Question<'a> {
    nonce: String,
    rows: Vec<Row<'a>>,
}

#[derive(Template)]
#[template(path = "status.html")]
struct Status<'a> {
    nonce: String,
    rows: Vec<Row<'a>>,
    place: &'a str,
    city: &'a str,
    /// Whether the visitor has never said.
    is_default: bool,
    entries: Vec<Entry>,
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct Refused<'a> {
    nonce: String,
    rows: Vec<Row<'a>>,
    status: StatusCode,
    message: String,
}

/// Where do you stand? The links lead to the page that was wanted.
pub(crate) fn question(proxy: &Proxy, wanted: &Uri) -> Response<Body> {
    let nonce = nonce();
    page(
        StatusCode::OK,
        &nonce,
        &Question { nonce: nonce.clone(), rows: rows(proxy, wanted, None) },
    )
}

/// The page at [`PATH`].
pub(crate) fn status(proxy: &Proxy, standing: &Standing) -> Response<Body> {
    let nonce = nonce();
    let place = standing.place.as_str();
    let status = Status {
        nonce: nonce.clone(),
        rows: rows(proxy, &Uri::from_static(PATH), Some(place)),
        place,
        city: city(proxy, place),
        is_default: standing.said_by == SaidBy::Nobody,
        entries: proxy.journal.read(),
    };
    page(StatusCode::OK, &nonce, &status)
}

/// Why there is no answer: as a page for a person, else as a line of text.
pub(crate) fn refusal(
    proxy: &Proxy,
    refusal: &Refusal,
    wanted: &Uri,
    is_reader: bool,
) -> Response<Body> {
    let (status, message) = (refusal.status(), refusal.to_string());
    let mut response = if is_reader {
        let nonce = nonce();
        let unknown = matches!(refusal, Refusal::UnknownPlace(_));
        let rows = if unknown { rows(proxy, wanted, None) } else { Vec::new() };
        page(status, &nonce, &Refused { nonce: nonce.clone(), rows, status, message })
    } else {
        own(status, "text/plain; charset=utf-8", format!("{message}\n"))
    };
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
    }
    response
}

fn rows<'a>(proxy: &'a Proxy, wanted: &Uri, here: Option<&str>) -> Vec<Row<'a>> {
    let row = |code: &'a String| Row {
        code,
        city: city(proxy, code),
        link: from::link(wanted, code),
        is_here: here == Some(code),
        nearest: proxy.map.nearest_in_reach(code).map(|(region, time)| (region, time.as_millis())),
    };
    proxy.map.places.keys().map(row).collect()
}

fn city<'a>(proxy: &'a Proxy, place: &str) -> &'a str {
    proxy.map.places.get(place).and_then(Option::as_deref).unwrap_or_default()
}

/// For the one style element that a page has.
fn nonce() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn page(status: StatusCode, nonce: &str, page: &impl Template) -> Response<Body> {
    let Ok(html) = page.render() else {
        return own(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain",
            "the edge's page cannot be shown\n".to_owned(),
        );
    };
    let mut response = own(status, "text/html; charset=utf-8", html);
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = policy.parse() {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn own(status: StatusCode, form: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Either::Right(Full::from(text)));
    *response.status_mut() = status;
    let headers = [
        (CONTENT_TYPE, form),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, hyper::header::HeaderValue::from_static(value));
    }
    response
}
