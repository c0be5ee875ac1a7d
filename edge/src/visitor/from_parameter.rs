//! The URL's parameter `?from=syd`, with which a link moves the visitor to a place. All other
//! parameters stay as they are, byte for byte.

use hyper::Uri;

const NAME: &str = "from=";

/// The place that the URL names: the first, if it names several.
pub(crate) fn place(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|parameter| parameter.strip_prefix(NAME))
}

/// The path and the query without `from`.
pub(crate) fn remove(uri: &Uri) -> String {
    let Some(query) = uri.query() else { return uri.path().to_owned() };
    let kept: Vec<_> = query.split('&').filter(|parameter| !parameter.starts_with(NAME)).collect();
    if kept.is_empty() {
        uri.path().to_owned()
    } else {
        format!("{}?{}", uri.path(), kept.join("&"))
    }
}

/// A link to the same page, with which the visitor moves to `place`.
pub(crate) fn link(uri: &Uri, place: &str) -> String {
    let page = remove(uri);
    let separator = if page.contains('?') { '&' } else { '?' };
    format!("{page}{separator}{NAME}{place}")
}

/// Whether a redirect to this path stays on this host. Browsers read `//evil.example` and
/// `/\evil.example` as another one.
pub(crate) fn is_on_site(path: &str) -> bool {
    path.starts_with('/') && !path[1..].starts_with(['/', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_from_is_removed() {
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
            assert_eq!(remove(&given.parse().unwrap()), kept, "{given}");
        }
    }

    #[test]
    fn a_link_leads_to_the_same_page() {
        for page in ["/a?x=1&y=%20", "/a", "/a?from", "/%3Cscript%3E?'=1"] {
            let link = link(&page.parse().unwrap(), "syd").parse().unwrap();
            assert_eq!((place(&link), remove(&link)), (Some("syd"), page.to_owned()));
        }
    }

    #[test]
    fn a_double_slash_is_another_host() {
        assert!(["/", "/a", "/a//b", "/a?b=//c"].into_iter().all(is_on_site));
        assert!(!["//evil.example", "/\\evil.example", "*", ""].into_iter().any(is_on_site));
    }
}
