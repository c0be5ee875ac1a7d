//! Signs the positions that a visitor carries to the next request: in cookies, and for programs in
//! a header. How the cookies are named is in [`visitor`](crate::visitor).

use std::cell::RefCell;
use std::str;

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, CookieJar, Key, SameSite};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{
    COOKIE, FORWARDED, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, X_FORWARDED_PROTO,
};
use actix_web::web::Data;

use super::keys::Keys;
use crate::position::Position;
use crate::visitor::{Brought, Claim, Session, cookie_name, header_value};

/// On a request: the position that its answer must show. On an answer: the position that it showed.
/// It has one value for each database that the request has read or written.
const HEADER: HeaderName = HeaderName::from_static("archipelago-position");

/// A name for the jar that signs. The signature does not cover it.
const ANY_NAME: &str = "position";

/// Signs positions. Each worker has one.
pub(super) struct Signer {
    /// The first signs, all verify.
    keys: Vec<Key>,
    /// The last signature: reads between two commits give the same position.
    last: RefCell<Option<(Position, Signed)>>,
}

/// A signed position.
#[derive(Clone)]
struct Signed {
    header: HeaderValue,
    cookie: String,
    value: String,
}

impl Signer {
    /// The keys are derived from the app's: a signature covers a text and not its purpose, and no
    /// other text that the app signs may pass for a position.
    pub(super) fn new(keys: &Keys) -> Self {
        let own =
            |key: &Key| Key::derive_from(&[key.signing(), b"archipelago: a position"].concat());
        let keys = std::iter::once(&keys.signing).chain(&keys.verifying).map(own).collect();
        Self { keys, last: RefCell::default() }
    }

    fn signed(&self, position: Position) -> Option<Signed> {
        let mut last = self.last.borrow_mut();
        if let Some((known, signed)) = &*last
            && *known == position
        {
            return Some(signed.clone());
        }
        let text = position.to_string();
        let mut jar = CookieJar::new();
        jar.signed_mut(self.keys.first()?).add(Cookie::new(ANY_NAME, text.clone()));
        let signature = jar.get(ANY_NAME)?.value().strip_suffix(&text)?.to_owned();
        let header = HeaderValue::try_from(header_value(position, &signature)).ok()?;
        let signed = Signed { header, cookie: cookie_name(position, &signature), value: signature };
        Some(last.insert((position, signed)).1.clone())
    }

    fn verifies(&self, claim: &Claim<'_>) -> bool {
        let mut jar = CookieJar::new();
        let signed = header_value(claim.position, claim.signature);
        jar.add_original(Cookie::new(ANY_NAME, signed));
        self.keys.iter().any(|key| jar.signed(key).get(ANY_NAME).is_some())
    }
}

/// The positions that the visitor brings. A forged or broken one counts as none.
pub(super) fn brought(request: &HttpRequest) -> Vec<Brought> {
    let Some(signer) = request.app_data::<Data<Signer>>() else { return Vec::new() };
    let headers = request.headers();
    let by_cookie = cookies(headers).filter_map(|(name, value)| Claim::in_cookie(name, value));
    let values = headers.get_all(HEADER).filter_map(|value| value.to_str().ok());
    let by_header = values
        .flat_map(|value| value.split(','))
        .filter_map(|value| Claim::in_header(value.trim()));
    // The size of a request's head bounds how many signatures are checked.
    let claims = by_cookie.chain(by_header);
    claims
        .filter(|claim| signer.verifies(claim))
        .map(|Claim { position, cookie, .. }| Brought {
            position,
            cookie: cookie.map(ToOwned::to_owned),
        })
        .collect()
}

/// The names and values of a request's cookies. Others than ours may be broken: Actix's parser
/// would drop all of them.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let pairs =
        headers.get_all(COOKIE).flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| str::from_utf8(pair).ok()?.trim().split_once('='))
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

/// Gives the visitor what they have written and seen, and takes back what it replaces.
pub(super) fn give<B>(response: &mut ServiceResponse<B>, session: &Session) {
    let request = response.request();
    let Some(signer) = request.app_data::<Data<Signer>>().cloned() else { return };
    let is_secure = is_secure(request);
    let lifetime = Duration::try_from(session.lifetime).unwrap_or(Duration::MAX);
    for position in session.carried() {
        let Some(Signed { header, cookie, value }) = signer.signed(position) else { continue };
        let given = set_cookie(&cookie, &value, lifetime, is_secure);
        let replaced = session.replaced_by(position, &cookie);
        let taken_back = replaced.map(|name| set_cookie(name, "", Duration::ZERO, is_secure));
        for value in std::iter::once(given).chain(taken_back) {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().append(SET_COOKIE, value);
            }
        }
        response.headers_mut().append(HEADER, header);
    }
}

/// The header that keeps a cookie for `lifetime`. Nothing in it needs to be encoded.
fn set_cookie(name: &str, value: &str, lifetime: Duration, is_secure: bool) -> String {
    let cookie = Cookie::build(name, value).path("/").max_age(lifetime);
    cookie.http_only(true).same_site(SameSite::Lax).secure(is_secure).finish().to_string()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    const POSITION: Position = Position { system: 7, timeline: 1, lsn: 0x16B_3748 };

    fn key(byte: u8) -> Key {
        Key::from(&[byte; 64])
    }

    fn signer(keys: &Keys) -> Signer {
        Signer::new(keys)
    }

    /// The positions in the header `cookie` of a request.
    fn brought_to(keys: &Keys, cookies: &str) -> Vec<Position> {
        let request = TestRequest::default()
            .insert_header((COOKIE, cookies))
            .app_data(Data::new(signer(keys)))
            .to_http_request();
        brought(&request).into_iter().map(|brought| brought.position).collect()
    }

    fn cookie_of(keys: &Keys) -> String {
        let Signed { cookie, value, .. } = signer(keys).signed(POSITION).unwrap();
        format!("{cookie}={value}")
    }

    #[test]
    fn the_first_key_signs_and_all_verify() {
        let (old, new) = (Keys::new(key(1)), Keys::new(key(2)));
        let both = Keys::new(key(2)).and_verifying([key(1)]);
        assert_eq!(cookie_of(&both), cookie_of(&new));
        let table = [
            (&old, &old, true),
            (&old, &both, true),
            (&new, &both, true),
            (&old, &new, false),
            (&both, &old, false),
        ];
        for (signs, verifies, expected) in table {
            let is_known = brought_to(verifies, &cookie_of(signs)) == [POSITION];
            assert_eq!(is_known, expected, "{}", cookie_of(signs));
        }
    }

    #[test]
    fn broken_cookies_of_others_hide_no_position() {
        let keys = Keys::new(key(1));
        let own = cookie_of(&keys);
        for cookies in [
            own.clone(),
            format!("no_value; {own}"),
            format!("a=\"1 2\";{own};b=%FF; ;="),
            format!("archipelago.v1-7-1-0.FF.forged=x; {own}"),
        ] {
            assert_eq!(brought_to(&keys, &cookies), [POSITION], "{cookies}");
        }
    }
}
