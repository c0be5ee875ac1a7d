//! `?from=syd`: how a link says where on Earth its reader is to stand. The other parameters stay as they are, byte for byte.

use hyper::Uri;

const NAME: &str = "from=";

/// The place that the URL names; the first, where there are several.
pub(crate) fn place(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|parameter| parameter.strip_prefix(NAME))
}

/// The path and the query without any `from`.
pub(crate) fn without(uri: &Uri) -> String {
    let Some(query) = uri.query() else { return uri.path().to_owned() };
    let kept: Vec<_> = query.split('&').filter(|parameter| !parameter.starts_with(NAME)).collect();
    if kept.is_empty() {
        uri.path().to_owned()
    } else {
        format!("{}?{}", uri.path(), kept.join("&"))
    }
}

/// A link to the same page, for a reader who is to stand in `place`.
pub(crate) fn link(uri: &Uri, place: &str) -> String {
    let page = without(uri);
    let separator = if page.contains('?') { '&' } else { '?' };
    format!("{page}{separator}{NAME}{place}")
}

/// Whether a browser that is sent to this path stays on this host: it takes `//evil.example` and `/\evil.example` for another.
pub(crate) fn stays_here(path: &str) -> bool {
    path.starts_with('/') && !path[1..].starts_with(['/', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_from_is_taken_out() {
        let cases = [
            ("/a?x=1&from=syd&y=%20", "/a?x=1&y=%20"),
            ("/a?from=syd", "/a"),
            ("/a?from=syd&from=nrt&b", "/a?b"),
            ("/a?xfrom=syd&from", "/a?xfrom=syd&from"),
            ("/a?&from=syd&", "/a?&"),
            ("/a?x=%2F+%C3%BC&=&from=syd", "/a?x=%2F+%C3%BC&="),
            ("/a", "/a"),
            ("/a?", "/a?"),
        ];
        for (given, kept) in cases {
            assert_eq!(without(&given.parse().unwrap()), kept, "{given}");
        }
    }

    #[test]
    fn a_link_comes_back_to_where_it_was() {
        for page in ["/a?x=1&y=%20", "/a", "/a?from", "/%3Cscript%3E?'=1"] {
            let link = link(&page.parse().unwrap(), "syd").parse().unwrap();
            assert_eq!((place(&link), without(&link)), (Some("syd"), page.to_owned()));
        }
    }

    #[test]
    fn other_hosts() {
        assert!(["/", "/a", "/a//b", "/a?b=//c"].into_iter().all(stays_here));
        assert!(!["//evil.example", "/\\evil.example", "*", ""].into_iter().any(stays_here));
    }
}
