//! The cookie that remembers where a visitor stands. Instances never see it.

use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderValue};

/// Cookies know no ports, so another edge on the same host finds it too.
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

/// For the answer: remembers the place until the browser is closed.
///
/// # Errors
/// When the place's name cannot stand in a header; the names of places that the edge knows can.
pub(crate) fn remembering(place: &str) -> Result<HeaderValue, hyper::http::Error> {
    Ok(HeaderValue::from_str(&format!("{NAME}={place}; Path=/; HttpOnly; SameSite=Lax"))?)
}

/// Takes it out; every other cookie stays as it is, byte for byte.
pub(crate) fn remove(headers: &mut HeaderMap) {
    if place_is_absent(headers) {
        return;
    }
    let kept: Vec<_> = headers.get_all(COOKIE).iter().filter_map(without).collect();
    headers.remove(COOKIE);
    for header in kept {
        headers.append(COOKIE, header);
    }
}

fn place_is_absent(headers: &HeaderMap) -> bool {
    !headers.get_all(COOKIE).iter().any(|header| pairs(header).any(is_ours))
}

fn without(header: &HeaderValue) -> Option<HeaderValue> {
    let kept: Vec<_> = pairs(header).filter(|pair| !is_ours(pair)).collect();
    // What was the second cookie may be the first now.
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
    fn the_others_stay_byte_for_byte() {
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
    fn a_header_with_nothing_else_goes() {
        let mut headers = cookies(&[b"a=1", b"edge_from=syd"]);
        assert_eq!(place(&headers), Some("syd"));
        remove(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1"]);
        assert_eq!(place(&headers), None);
    }
}
