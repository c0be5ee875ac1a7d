//! Where a visitor stands: a header, the URL or a cookie names the place; else it is the default.

pub(crate) mod cookie;
pub(crate) mod from_parameter;

use hyper::http::request::Parts;

use crate::error::ProxyError;
use crate::headers::{FLY_FORCE_REGION, FLY_PREFER_REGION};
use crate::places::{ANY, Places};

/// The place of a request's visitor.
#[derive(Debug)]
pub(crate) struct VisitorPlace {
    pub(crate) place: String,
    pub(crate) source: PlaceSource,
    /// The regions to try before the nearest ones.
    preferred: Vec<String>,
}

/// What named a visitor's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlaceSource {
    /// The header `fly-prefer-region`, for this request only.
    Header,
    /// `?from=`, for this request and all later ones.
    FromParameter,
    /// The cookie that a response to `?from=` set.
    Cookie,
    /// Nothing: the place is the edge's default.
    Default,
}

impl VisitorPlace {
    /// Reads the header, the URL and the cookie, in this order. An unknown place in a cookie is
    /// ignored, because another edge may have set it.
    ///
    /// # Errors
    /// When the header or the URL names an unknown place.
    pub(crate) fn of(parts: &Parts, places: &Places) -> Result<Self, ProxyError> {
        let at = |place: &str, source| Self {
            place: place.to_owned(),
            source,
            preferred: vec![place.to_owned()],
        };
        if let Some(preferred) = list(parts, FLY_PREFER_REGION)? {
            for place in &preferred {
                places.check(place)?;
            }
            let place = preferred.first().cloned().unwrap_or_default();
            return Ok(Self { place, source: PlaceSource::Header, preferred });
        }
        if let Some(place) = from_parameter::place(&parts.uri) {
            places.check(place)?;
            return Ok(at(place, PlaceSource::FromParameter));
        }
        Ok(match cookie::place(&parts.headers).filter(|place| places.contains(place)) {
            Some(place) => at(place, PlaceSource::Cookie),
            None => at(&places.default, PlaceSource::Default),
        })
    }

    /// The regions to try, in this order: only those of `fly-force-region`, if the request has it;
    /// else the preferred ones, then [`ANY`].
    pub(crate) fn wanted_regions(&self, parts: &Parts) -> Result<Vec<String>, ProxyError> {
        let preferred = || self.preferred.iter().cloned().chain([ANY.to_owned()]).collect();
        Ok(list(parts, FLY_FORCE_REGION)?.unwrap_or_else(preferred))
    }
}

/// The codes in a header, which are separated by commas.
fn list(parts: &Parts, name: &'static str) -> Result<Option<Vec<String>>, ProxyError> {
    let Some(value) = parts.headers.get(name) else { return Ok(None) };
    let value = value.to_str().map_err(|_| ProxyError::InvalidHeader(name))?;
    Ok(Some(value.split(',').map(|code| code.trim().to_owned()).collect()))
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    const PREFER: &str = FLY_PREFER_REGION;
    const FORCE: &str = FLY_FORCE_REGION;

    fn parts(target: &str, headers: &[(&str, &str)]) -> Parts {
        let request = headers
            .iter()
            .fold(Request::get(target), |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    fn visitor(parts: &Parts) -> Result<VisitorPlace, ProxyError> {
        VisitorPlace::of(parts, &Places::new([], "nrt".to_owned()))
    }

    #[test]
    fn header_wins_over_url_and_url_over_cookie() {
        use PlaceSource::{Cookie, Default, FromParameter, Header};
        let (header, cookie) = ((PREFER, "ord, syd"), ("cookie", "edge_from=ams"));
        let cases: [(_, &[_], _, _); 6] = [
            ("/", &[], "nrt", Default),
            ("/", &[cookie], "ams", Cookie),
            ("/", &[("cookie", "edge_from=mars")], "nrt", Default),
            ("/?from=syd", &[cookie], "syd", FromParameter),
            ("/?from=syd", &[cookie, header], "ord", Header),
            ("/?from=mars", &[header], "ord", Header),
        ];
        for (target, headers, place, source) in cases {
            let visitor = visitor(&parts(target, headers)).unwrap();
            assert_eq!((visitor.place.as_str(), visitor.source), (place, source), "{target}");
        }
    }

    #[test]
    fn unknown_places_are_errors() {
        let cases: [(_, &[_]); 3] =
            [("/?from=mars", &[]), ("/", &[(PREFER, "syd,mars")]), ("/", &[(PREFER, "é")])];
        for (target, headers) in cases {
            let error = visitor(&parts(target, headers)).unwrap_err();
            assert_eq!(error.status(), 400, "{error}");
        }
    }

    #[test]
    fn forced_regions_are_the_only_ones() {
        let cases: [(&[_], &[_]); 4] = [
            (&[], &["nrt", "any"]),
            (&[(PREFER, "cdg, syd")], &["cdg", "syd", "any"]),
            (&[(FORCE, "ord")], &["ord"]),
            (&[(PREFER, "syd"), (FORCE, "nrt,ord")], &["nrt", "ord"]),
        ];
        for (headers, wanted) in cases {
            let parts = parts("/", headers);
            let visitor = visitor(&parts).unwrap();
            assert_eq!(visitor.wanted_regions(&parts).unwrap(), wanted, "{headers:?}");
        }
    }
}
