//! The signed positions that a visitor carries to the next request: a cookie for what they have
//! written, one for what they have seen, and for programs one header.
//!
//! Two cookies, because a late answer to a read would take the position of a write back out of a
//! common one.

use std::cell::RefCell;

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, CookieJar, Key, SameSite};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{FORWARDED, HeaderName, HeaderValue, SET_COOKIE, X_FORWARDED_PROTO};
use actix_web::web::Data;

use crate::position::Position;

/// The cookie of what the visitor has written. Only the answer to a write sets it.
const WRITTEN: &str = "archipelago_position";

/// The cookie of what the visitor has seen.
const SEEN: &str = "archipelago_seen";

/// On a request: the position that its answer must show. On an answer: the position that it showed.
const HEADER: HeaderName = HeaderName::from_static("archipelago-position");

/// The cookies' lifetime. With the default `max_lag`, a replica that is ten minutes behind serves
/// only reads that allow a stale answer.
const LIFETIME: Duration = Duration::minutes(10);

/// Signs positions. Each worker has one.
pub(super) struct Signer {
    key: Key,
    /// The last signature: reads between two commits give the same position.
    last: RefCell<Option<(Carried, Signed)>>,
}

/// The content of a cookie.
#[derive(Clone, Copy, PartialEq)]
struct Carried {
    position: Position,
    name: &'static str,
    is_secure: bool,
}

/// A signed position, as the values of two headers.
#[derive(Clone)]
struct Signed {
    text: HeaderValue,
    set_cookie: HeaderValue,
}

impl Signer {
    /// The key is derived from the app's: a signature covers a text and not its purpose, and no
    /// other text that the app signs may pass for a position.
    pub(super) fn new(key: &Key) -> Self {
        let own = [key.signing(), b"archipelago: a position"].concat();
        Self { key: Key::derive_from(&own), last: RefCell::default() }
    }

    fn signed(&self, wanted: Carried) -> Option<Signed> {
        let mut last = self.last.borrow_mut();
        let Carried { position, name, is_secure } = wanted;
        if let Some((known, signed)) = &*last
            && *known == wanted
        {
            return Some(signed.clone());
        }
        let mut jar = CookieJar::new();
        jar.signed_mut(&self.key).add(Cookie::new(name, position.to_string()));
        let text = jar.get(name)?.value().to_owned();
        let header = HeaderValue::try_from(&text).ok()?;
        let cookie = Cookie::build(name, text)
            .path("/")
            .max_age(LIFETIME)
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(is_secure)
            .finish();
        let set_cookie = HeaderValue::try_from(cookie.encoded().to_string()).ok()?;
        let (_, signed) = last.insert((wanted, Signed { text: header, set_cookie }));
        Some(signed.clone())
    }

    /// The position in a text. None if the text was not signed with this key.
    fn verified(&self, text: &str) -> Option<Position> {
        let mut jar = CookieJar::new();
        jar.add_original(Cookie::new(SEEN, text.to_owned()));
        jar.signed(&self.key).get(SEEN)?.value().parse().ok()
    }
}

/// The positions that the visitor brings. A forged or broken one counts as none.
pub(super) fn brought_positions(request: &HttpRequest) -> [Option<Position>; 3] {
    let Some(signer) = request.app_data::<Data<Signer>>() else { return [None; 3] };
    let by_cookie = |name| signer.verified(request.cookie(name)?.value());
    let by_header = || signer.verified(request.headers().get(HEADER)?.to_str().ok()?);
    [by_cookie(WRITTEN), by_cookie(SEEN), by_header()]
}

/// Whether the visitor came over TLS. Without a proxy in front the headers need not be parsed.
fn is_secure(request: &HttpRequest) -> bool {
    let is_behind_a_proxy = request.headers().contains_key(FORWARDED)
        || request.headers().contains_key(X_FORWARDED_PROTO);
    if is_behind_a_proxy {
        request.connection_info().scheme() == "https"
    } else {
        request.app_config().secure()
    }
}

/// Gives the visitor what they have written and seen: a cookie each, and the later of both in the
/// header.
pub(super) fn give<B>(
    response: &mut ServiceResponse<B>,
    written: Option<Position>,
    seen: Option<Position>,
) {
    let later = written.into_iter().chain(seen).reduce(Position::or_later);
    let request = response.request();
    let Some(signer) = request.app_data::<Data<Signer>>().cloned() else { return };
    let is_secure = is_secure(request);
    for (name, position) in [(WRITTEN, written), (SEEN, seen)] {
        let carried =
            position.and_then(|position| signer.signed(Carried { position, name, is_secure }));
        let Some(Signed { text, set_cookie }) = carried else { continue };
        response.headers_mut().append(SET_COOKIE, set_cookie);
        if position == later {
            response.headers_mut().insert(HEADER, text);
        }
    }
}
