//! The signed text in which a visitor carries the position of what they have written and seen to their next request: in a cookie, and
//! for programs in a header, which is the same text.

use std::cell::RefCell;

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, CookieJar, Key, SameSite};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{HeaderName, HeaderValue, SET_COOKIE};
use actix_web::web::Data;

use crate::Position;

const COOKIE: &str = "archipelago_position";

/// On a request the position that its answer must show, on an answer the position that it showed.
const HEADER: HeaderName = HeaderName::from_static("archipelago-position");

/// A replica that is ten minutes behind serves nobody.
const LIFETIME: Duration = Duration::minutes(10);

/// Signs positions. Every worker has one.
pub(super) struct Signer {
    key: Key,
    /// The last one, with whether over TLS: whoever reads between two commits is given the same.
    last: RefCell<Option<(Position, bool, Signed)>>,
}

/// A signed position, as the values of two headers.
#[derive(Clone)]
struct Signed {
    text: HeaderValue,
    set_cookie: HeaderValue,
}

impl Signer {
    pub(super) fn new(key: Key) -> Self {
        Self { key, last: RefCell::default() }
    }

    fn signed(&self, position: Position, is_secure: bool) -> Option<Signed> {
        let mut last = self.last.borrow_mut();
        if let Some((known, known_secure, signed)) = &*last
            && (*known, *known_secure) == (position, is_secure)
        {
            return Some(signed.clone());
        }
        let mut jar = CookieJar::new();
        jar.signed_mut(&self.key).add(Cookie::new(COOKIE, position.to_string()));
        let text = jar.get(COOKIE)?.value().to_owned();
        let header = HeaderValue::try_from(&text).ok()?;
        let cookie = Cookie::build(COOKIE, text)
            .path("/")
            .max_age(LIFETIME)
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(is_secure)
            .finish();
        let set_cookie = HeaderValue::try_from(cookie.encoded().to_string()).ok()?;
        let (_, _, signed) = last.insert((position, is_secure, Signed { text: header, set_cookie }));
        Some(signed.clone())
    }

    /// None where the text was not signed with this key.
    fn verified(&self, text: &str) -> Option<Position> {
        let mut jar = CookieJar::new();
        jar.add_original(Cookie::new(COOKIE, text.to_owned()));
        jar.signed(&self.key).get(COOKIE)?.value().parse().ok()
    }
}

/// The position that the visitor carries. A forged or broken one counts as none.
pub(super) fn carried(request: &HttpRequest) -> Option<Position> {
    let signer = request.app_data::<Data<Signer>>()?;
    let by_cookie = request.cookie(COOKIE).and_then(|cookie| signer.verified(cookie.value()));
    let by_header = request.headers().get(HEADER).and_then(|value| signer.verified(value.to_str().ok()?));
    by_cookie.zip(by_header).map(|(cookie, header)| cookie.or_later(header)).or(by_cookie).or(by_header)
}

pub(super) fn give<B>(response: &mut ServiceResponse<B>, position: Position) {
    let request = response.request();
    let is_secure = request.connection_info().scheme() == "https";
    let signed = request.app_data::<Data<Signer>>().and_then(|signer| signer.signed(position, is_secure));
    if let Some(Signed { text, set_cookie }) = signed {
        response.headers_mut().append(SET_COOKIE, set_cookie);
        response.headers_mut().insert(HEADER, text);
    }
}
