//! Whether a visitor came over TLS, by the headers of a proxy.

/// The scheme that the visitor used, as the headers `forwarded` and `x-forwarded-proto` tell: of
/// several, the first, which the proxy nearest to the visitor has set. None without a proxy in front.
/// `header` looks up a value by its name in lower case.
pub fn forwarded_scheme<'h>(header: impl Fn(&str) -> Option<&'h str>) -> Option<&'h str> {
    let in_forwarded = header("forwarded").and_then(|value| {
        let mut pairs = value.split([';', ',']).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| name.eq_ignore_ascii_case("proto")).map(|pair| pair.1)
    });
    let scheme = in_forwarded.or_else(|| header("x-forwarded-proto")?.split(',').next())?;
    Some(scheme.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_that_a_proxy_tells() {
        // The headers `forwarded` and `x-forwarded-proto`, and the scheme.
        for (forwarded, proto, scheme) in [
            (None, None, None),
            (None, Some("https"), Some("https")),
            (None, Some(" http, https"), Some("http")),
            (Some("for=1.2.3.4; Proto=\"https\", for=5.6.7.8"), None, Some("https")),
            (Some("for=1.2.3.4"), Some("http"), Some("http")),
            (Some("proto=http"), Some("https"), Some("http")),
        ] {
            let value = |name: &str| if name == "forwarded" { forwarded } else { proto };
            assert_eq!(forwarded_scheme(value), scheme, "{forwarded:?}, {proto:?}");
        }
    }
}
