//! The cookie that keeps a visitor's place. Instances do not get it.

use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderValue};

/// Cookies do not depend on the port, so another edge on the same host gets this one too.
const NAME: &str = "edge_from";

/// The place that the visitor's cookie names.
pub(crate) fn place(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| std::str::from_utf8(header.as_bytes()).ok())
        .find_map(|header| {
            header.split(';').find_map(|pair| {
                pair.split_once('=')
                    .filter(|(name, _)| name.trim() == NAME)
                    .map(|(_, value)| value.trim())
            })
        })
}

/// The value of `Set-Cookie` that keeps `place` until the browser is closed.
///
/// # Errors
/// When `place` cannot be a header's value. The code of every place of the edge can.
pub(crate) fn set(place: &str) -> Result<HeaderValue, hyper::http::Error> {
    Ok(HeaderValue::from_str(&format!("{NAME}={place}; Path=/; HttpOnly; SameSite=Lax"))?)
}

/// Removes the cookie. All others stay as they are, byte for byte.
pub(crate) fn remove(headers: &mut HeaderMap) {
    if !headers.get_all(COOKIE).iter().any(|header| pairs(header).any(is_ours)) {
        return;
    }
    let kept: Vec<_> = headers.get_all(COOKIE).iter().filter_map(without).collect();
    headers.remove(COOKIE);
    for header in kept {
        headers.append(COOKIE, header);
    }
}

fn without(header: &HeaderValue) -> Option<HeaderValue> {
    let kept: Vec<_> = pairs(header).filter(|pair| !is_ours(pair)).collect();
    // The first pair left may begin with the space that separated it from ours.
    HeaderValue::from_bytes(kept.join(&b';').trim_ascii_start())
        .ok()
        .filter(|header| !header.is_empty())
}

fn pairs(header: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    header.as_bytes().split(|byte| *byte == b';')
}

fn is_ours(pair: &[u8]) -> bool {
    pair.split(|byte| *byte == b'=').next().is_some_and(|name| name.trim_ascii() == NAME.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(headers: &[&[u8]]) -> HeaderMap {
        headers.iter().map(|header| (COOKIE, HeaderValue::from_bytes(header).unwrap())).collect()
    }

    #[test]
    fn other_cookies_stay_byte_for_byte() {
        let cases: [(&[u8], &[u8]); 5] = [
            (b"a=1; edge_from=syd; b=\"x y\"", b"a=1; b=\"x y\""),
            (b"edge_from=syd;  b=2;", b"b=2;"),
            (b"a=1;b=2; edge_from=syd", b"a=1;b=2"),
            (b" a = 1 ;x\xff=\xfe", b" a = 1 ;x\xff=\xfe"),
            (b"edge_from2=a; my_edge_from=b", b"edge_from2=a; my_edge_from=b"),
        ];
        for (given, kept) in cases {
            let mut headers = cookies(&[given]);
            remove(&mut headers);
            assert_eq!(headers[COOKIE].as_bytes(), kept);
        }
    }

    #[test]
    fn a_header_with_no_other_cookie_is_removed() {
        let mut headers = cookies(&[b"a=1", b"edge_from=syd"]);
        assert_eq!(place(&headers), Some("syd"));
        remove(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1"]);
        assert_eq!(place(&headers), None);
    }
}
