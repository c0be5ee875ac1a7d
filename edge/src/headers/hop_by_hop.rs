//! Headers that concern a single connection, which a proxy must not forward.

use hyper::HeaderMap;
use hyper::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};

/// RFC 9110, section 7.6.1. `Connection` can name others.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Removes every header that concerns a single connection.
pub(crate) fn remove(headers: &mut HeaderMap) {
    // Beside a Transfer-Encoding the length is wrong (RFC 9112, section 6.3).
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<_> =
        values.flat_map(|value| value.split(',')).map(|name| name.trim().to_owned()).collect();
    for name in named.iter().map(String::as_str).chain(HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Whether the visitor wants to leave HTTP for a websocket. Any other upgrade may be ignored.
pub(crate) fn is_websocket(headers: &HeaderMap) -> bool {
    headers.get_all(UPGRADE).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.collect()
    }

    #[test]
    fn removes_what_concerns_one_connection() {
        let cases: [(&[_], &[_]); 4] = [
            (&[("te", "trailers"), ("upgrade", "h2c"), ("accept", "*/*")], &[("accept", "*/*")]),
            (
                &[("connection", "x-a, X-B"), ("x-a", "1"), ("x-b", "2"), ("x-c", "3")],
                &[("x-c", "3")],
            ),
            (&[("content-length", "3"), ("transfer-encoding", "chunked")], &[]),
            (&[("content-length", "3")], &[("content-length", "3")]),
        ];
        for (given, kept) in cases {
            let mut given = headers(given);
            remove(&mut given);
            assert_eq!(given, headers(kept));
        }
    }

    #[test]
    fn only_websockets_are_upgrades() {
        for (value, expected) in [("websocket", true), ("WebSocket", true), ("h2c", false)] {
            assert_eq!(is_websocket(&headers(&[("upgrade", value)])), expected, "{value}");
        }
        assert!(!is_websocket(&HeaderMap::new()));
    }
}
