//! Where a visitor stands, and who said so.

use hyper::http::request::Parts;

use crate::headers::{FLY_FORCE_REGION, FLY_PREFER_REGION};
use crate::map::Map;
use crate::refusal::Refusal;
use crate::replay::ANY;
use crate::{cookie, from};

/// What a visitor says of the place to be served from.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The place itself.
    pub(crate) place: String,
    pub(crate) said_by: SaidBy,
    /// The places whose instances are to be tried before the nearest ones.
    preferred: Vec<String>,
}

/// What told the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SaidBy {
    /// `fly-prefer-region`: for this request.
    Header,
    /// `?from=`: from now on.
    Link,
    /// The cookie that `?from=` has set.
    Cookie,
    /// Nothing: it is the edge's default.
    Nobody,
}

impl Standing {
    /// Reads header, URL and cookie, in this order. A cookie may come from another edge, and is passed over if its place is unknown.
    ///
    /// # Errors
    /// When header or URL name a place that the edge does not know.
    pub(crate) fn of(parts: &Parts, map: &Map) -> Result<Self, Refusal> {
        let at = |place: &str, said_by| Self {
            place: place.to_owned(),
            said_by,
            preferred: vec![place.to_owned()],
        };
        if let Some(preferred) = list(parts, FLY_PREFER_REGION)? {
            for place in &preferred {
                map.check(place)?;
            }
            let place = preferred.first().cloned().unwrap_or_default();
            return Ok(Self { place, said_by: SaidBy::Header, preferred });
        }
        if let Some(place) = from::place(&parts.uri) {
            map.check(place)?;
            return Ok(at(place, SaidBy::Link));
        }
        let remembered =
            cookie::place(&parts.headers).filter(|place| map.places.contains_key(*place));
        Ok(remembered.map_or_else(
            || at(&map.default_place, SaidBy::Nobody),
            |place| at(place, SaidBy::Cookie),
        ))
    }

    /// The regions to try, in this order: those of `fly-force-region` and no others; else the preferred ones and then the nearest.
    ///
    /// # Errors
    /// When a header names a place that the edge does not know.
    pub(crate) fn regions<'a>(&self, parts: &Parts, map: &'a Map) -> Result<Vec<&'a str>, Refusal> {
        match list(parts, FLY_FORCE_REGION)? {
            Some(forced) => Ok(map.among(&self.place, &forced)?),
            None => {
                let wanted: Vec<_> =
                    self.preferred.iter().cloned().chain([ANY.to_owned()]).collect();
                Ok(map.among(&self.place, &wanted)?)
            }
        }
    }
}

/// The codes in a header, which separates them by commas.
fn list(parts: &Parts, name: &'static str) -> Result<Option<Vec<String>>, Refusal> {
    let Some(value) = parts.headers.get(name) else { return Ok(None) };
    let value = value.to_str().map_err(|_| Refusal::Unreadable(name))?;
    Ok(Some(value.split(',').map(|code| code.trim().to_owned()).collect()))
}
