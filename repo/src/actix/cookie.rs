//! The signed text in which a visitor carries the position of what they have written and seen to their next request: in a cookie, and
//! for programs in a header, which is the same text.

use std::cell::RefCell;

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, CookieJar, Key, SameSite};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{HeaderName, HeaderValue};
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
    /// The last one, and its signed text: whoever reads between two commits is given the same.
    last: RefCell<Option<(Position, String)>>,
}

impl Signer {
    pub(super) fn new(key: Key) -> Self {
        Self { key, last: RefCell::default() }
    }

    fn signed(&self, position: Position) -> String {
        let mut last = self.last.borrow_mut();
        match &*last {
            Some((known, text)) if *known == position => text.clone(),
            _ => {
                let mut jar = CookieJar::new();
                jar.signed_mut(&self.key).add(Cookie::new(COOKIE, position.to_string()));
                let text = jar.get(COOKIE).map(|cookie| cookie.value().to_owned()).unwrap_or_default();
                last.insert((position, text)).1.clone()
            }
        }
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
    let Some(signer) = request.app_data::<Data<Signer>>() else { return };
    let signed = signer.signed(position);
    let header = HeaderValue::try_from(&signed);
    let cookie = Cookie::build(COOKIE, signed)
        .path("/")
        .max_age(LIFETIME)
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(request.connection_info().scheme() == "https")
        .finish();
    // Only what is no header value is refused, and a position behind base64 is one.
    let _ = response.response_mut().add_cookie(&cookie);
    if let Ok(header) = header {
        response.headers_mut().insert(HEADER, header);
    }
}
