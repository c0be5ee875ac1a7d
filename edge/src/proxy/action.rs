//! What the edge does with a request: redirect it, show a page of its own, or forward it.

use hyper::Method;
use hyper::header::ACCEPT;
use hyper::http::request::Parts;

use crate::error::ProxyError;
use crate::headers::{FLY_FORCE_REGION, hop_by_hop};
use crate::pages::STATUS_PATH;
use crate::visitor::PlaceSource;

/// What the edge does with a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Redirect to the same URL without `from`, and set the cookie.
    SetPlace,
    ShowStatus,
    /// Show the page that asks for the visitor's place.
    AskForPlace,
    Forward,
}

impl Action {
    /// The action for a request whose visitor's place comes from `source`.
    pub(super) fn of(parts: &Parts, source: PlaceSource) -> Result<Self, ProxyError> {
        let only_reads = matches!(parts.method, Method::GET | Method::HEAD);
        let has_forced_region = parts.headers.contains_key(FLY_FORCE_REGION);
        if source == PlaceSource::FromParameter && only_reads {
            Ok(Self::SetPlace)
        } else if parts.uri.path() == STATUS_PATH {
            if only_reads { Ok(Self::ShowStatus) } else { Err(ProxyError::MethodNotAllowed) }
        } else if source == PlaceSource::Default && is_navigation(parts) && !has_forced_region {
            Ok(Self::AskForPlace)
        } else {
            Ok(Self::Forward)
        }
    }
}

/// Fails for a request that is not plain HTTP.
pub(super) fn check_protocol(parts: &Parts) -> Result<(), ProxyError> {
    if parts.method == Method::CONNECT {
        Err(ProxyError::Connect)
    } else if hop_by_hop::is_websocket(&parts.headers) {
        Err(ProxyError::Websocket)
    } else if parts.uri.path().is_empty() {
        // The authority form, as in `GET host:80`, which is for CONNECT only (RFC 9112, section 3.2.3).
        Err(ProxyError::NoPath)
    } else {
        Ok(())
    }
}

/// Whether a browser opens a page with this request.
pub(super) fn is_navigation(parts: &Parts) -> bool {
    let mut accepted = parts.headers.get_all(ACCEPT).iter();
    let accepts_html =
        accepted.any(|value| value.to_str().is_ok_and(|value| value.contains("text/html")));
    let navigates = parts.headers.get("sec-fetch-mode").is_none_or(|mode| mode == "navigate");
    parts.method == Method::GET && accepts_html && navigates
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    const HTML: (&str, &str) = ("accept", "text/html,*/*;q=0.8");

    fn parts(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
        let request = Request::builder().method(method).uri(target);
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_navigation_is_a_get_for_html() {
        let cases: [(_, &[_], _); 6] = [
            ("GET", &[HTML], true),
            ("GET", &[HTML, ("sec-fetch-mode", "navigate")], true),
            ("GET", &[HTML, ("sec-fetch-mode", "no-cors")], false),
            ("GET", &[("accept", "*/*")], false),
            ("GET", &[], false),
            ("POST", &[HTML], false),
        ];
        for (method, headers, expected) in cases {
            assert_eq!(is_navigation(&parts(method, "/", headers)), expected, "{headers:?}");
        }
    }

    #[test]
    fn only_plain_http_is_forwarded() {
        for (method, target, expected) in [
            ("GET", "/", None),
            ("GET", "http://host:80", None),
            ("OPTIONS", "*", None),
            ("GET", "host:80", Some(400)),
            ("CONNECT", "host:80", Some(501)),
        ] {
            let refused = check_protocol(&parts(method, target, &[])).err();
            let status = refused.map(|error| error.status().as_u16());
            assert_eq!(status, expected, "{method} {target}");
        }
    }

    #[test]
    fn what_is_done_with_a_request() {
        use PlaceSource::{Cookie, Default, FromParameter, Header};
        let cases: [(_, _, &[_], _, _); 12] = [
            ("GET", "/a?from=syd", &[], FromParameter, Some(Action::SetPlace)),
            ("HEAD", "/a?from=syd", &[], FromParameter, Some(Action::SetPlace)),
            ("GET", "/_edge?from=syd", &[], FromParameter, Some(Action::SetPlace)),
            ("POST", "/a?from=syd", &[HTML], FromParameter, Some(Action::Forward)),
            ("GET", "/a?from=syd", &[], Header, Some(Action::Forward)),
            ("GET", "/_edge", &[HTML], Default, Some(Action::ShowStatus)),
            ("POST", "/_edge", &[], Cookie, None),
            ("GET", "/a", &[HTML], Default, Some(Action::AskForPlace)),
            ("GET", "/a", &[HTML, (FLY_FORCE_REGION, "nrt")], Default, Some(Action::Forward)),
            ("GET", "/a", &[HTML], Cookie, Some(Action::Forward)),
            ("GET", "/a", &[], Default, Some(Action::Forward)),
            ("POST", "/a", &[HTML], Default, Some(Action::Forward)),
        ];
        for (method, target, headers, source, expected) in cases {
            let action = Action::of(&parts(method, target, headers), source);
            assert_eq!(action.ok(), expected, "{method} {target} {source:?}");
        }
    }
}
