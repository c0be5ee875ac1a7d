//! Signs the positions that a visitor carries to the next request: in cookies, and for programs in
//! a header.

use std::fmt;
use std::str;

use cookie::time::Duration;
use cookie::{Cookie, CookieJar, Key, SameSite};
use parking_lot::Mutex;

use super::cookie::{Claim, cookie_name, header_value, host_only};
use super::keys::Keys;
use super::session::Session;
use super::session_data::Brought;
use crate::position::Position;

/// On a request: the position that its answer must show. On an answer: the position that it showed.
/// It has one value for each database that the request has read or written.
pub const POSITION: &str = "archipelago-position";

const SET_COOKIE: &str = "set-cookie";

/// What an answer says to caches that says nothing of them itself: a shared cache would hand the
/// visitor's cookie to others.
const NOT_SHARED: (&str, &str) = ("cache-control", "private, no-cache");

/// A name for the jar that signs. The signature does not cover it.
const ANY_NAME: &str = "position";

/// Reads and writes the headers that carry a visitor's positions, signed.
///
/// Cookies serve browsers, and are named so that answers may overtake each other. The header
/// [`POSITION`] serves programs.
pub struct Signer {
    /// The first signs, all verify.
    keys: Vec<Key>,
    /// The last signature: reads between two commits give the same position.
    last: Mutex<Option<(Position, Signed)>>,
}

/// A signed position.
#[derive(Clone)]
struct Signed {
    header: String,
    cookie: String,
    value: String,
}

impl Signer {
    /// Signs with the first of these keys, and verifies with all.
    ///
    /// The keys are derived from them: a signature covers a text and not its purpose, and no other
    /// text that the app signs may pass for a position.
    pub fn new(keys: impl Into<Keys>) -> Self {
        let keys = keys.into();
        let own =
            |key: &Key| Key::derive_from(&[key.signing(), b"archipelago: a position"].concat());
        let keys = std::iter::once(&keys.signing).chain(&keys.verifying).map(own).collect();
        Self { keys, last: Mutex::default() }
    }

    /// The session of a request whose headers `cookie` and [`POSITION`] have these values. A forged
    /// or broken position counts as none.
    pub fn session<'h, C, P>(
        &self,
        cookies: impl IntoIterator<Item = &'h C>,
        positions: impl IntoIterator<Item = &'h P>,
    ) -> Session
    where
        C: AsRef<[u8]> + ?Sized + 'h,
        P: AsRef<[u8]> + ?Sized + 'h,
    {
        let session = Session::new();
        self.read_into(&session, cookies, positions);
        session
    }

    /// As [`session`](Self::session), for a session that there is already. The first call counts.
    pub(crate) fn read_into<'h, C, P>(
        &self,
        session: &Session,
        cookies: impl IntoIterator<Item = &'h C>,
        positions: impl IntoIterator<Item = &'h P>,
    ) where
        C: AsRef<[u8]> + ?Sized + 'h,
        P: AsRef<[u8]> + ?Sized + 'h,
    {
        let mut data = session.data();
        if data.knows_brought() {
            return;
        }
        // Cookies of others may be broken: a whole header is not parsed.
        let pairs = cookies.into_iter().flat_map(|line| line.as_ref().split(|byte| *byte == b';'));
        let pairs = pairs.filter_map(|pair| str::from_utf8(pair).ok()?.trim().split_once('='));
        let by_cookie = pairs.filter_map(|(name, value)| Claim::in_cookie(name, value));
        let values = positions.into_iter().filter_map(|value| str::from_utf8(value.as_ref()).ok());
        let values = values.flat_map(|value| value.split(','));
        let by_header = values.filter_map(|value| Claim::in_header(value.trim()));
        // The size of a request's head bounds how many signatures are checked.
        let claims = by_cookie.chain(by_header).filter(|claim| self.verifies(claim));
        let brought = claims.map(|Claim { position, cookie, .. }| Brought {
            position,
            cookie: cookie.map(ToOwned::to_owned),
        });
        data.set_brought(brought.collect());
    }

    /// The names and values of the headers that an answer has to carry: the positions that the
    /// visitor has seen and written, in place of those that they brought, and which database served
    /// the answer. Each is to be added, as `set-cookie` may come several times, but `cache-control`
    /// only where the answer has none: with it, no shared cache keeps the cookie. `is_secure` tells
    /// whether the visitor came over TLS. None where the request has asked no database.
    #[must_use]
    pub fn answer_headers(
        &self,
        session: &Session,
        is_secure: bool,
    ) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if let Some((served_by, elapsed)) = session.served() {
            let timing = format!("db;dur={:.1}", elapsed.as_secs_f64() * 1000.0);
            headers.extend([("x-served-by", served_by.to_string()), ("server-timing", timing)]);
        }
        let lifetime = Duration::try_from(session.lifetime()).unwrap_or(Duration::MAX);
        let data = session.data();
        for position in data.carried() {
            let Some(Signed { header, cookie, value }) = self.signed(position) else { continue };
            let cookie = if is_secure { host_only(&cookie) } else { cookie };
            headers.push((SET_COOKIE, set_cookie(&cookie, &value, lifetime, is_secure)));
            for name in data.replaced_by(position, &cookie) {
                headers.push((SET_COOKIE, set_cookie(name, "", Duration::ZERO, is_secure)));
            }
            headers.push((POSITION, header));
        }
        if headers.iter().any(|(name, _)| *name == SET_COOKIE) {
            headers.push((NOT_SHARED.0, NOT_SHARED.1.to_owned()));
        }
        headers
    }

    fn signed(&self, position: Position) -> Option<Signed> {
        let mut last = self.last.lock();
        if let Some((known, signed)) = &*last
            && *known == position
        {
            return Some(signed.clone());
        }
        let text = position.to_string();
        let mut jar = CookieJar::new();
        jar.signed_mut(self.keys.first()?).add(Cookie::new(ANY_NAME, text.clone()));
        let signature = jar.get(ANY_NAME)?.value().strip_suffix(&text)?.to_owned();
        let header = header_value(position, &signature);
        let signed = Signed { header, cookie: cookie_name(position, &signature), value: signature };
        Some(last.insert((position, signed)).1.clone())
    }

    /// The name and value of the cookie of a position.
    #[cfg(test)]
    pub(super) fn cookie(&self, position: Position) -> Option<(String, String)> {
        self.signed(position).map(|signed| (signed.cookie, signed.value))
    }

    fn verifies(&self, claim: &Claim<'_>) -> bool {
        self.has_just_signed(claim) || self.has_signed(claim)
    }

    /// Whether it is the last signature, which most visitors bring while there are few writes.
    fn has_just_signed(&self, claim: &Claim<'_>) -> bool {
        let last = self.last.lock();
        // A forger who learns it by the time of this makes only their own reads wait.
        last.as_ref().is_some_and(|(position, signed)| {
            *position == claim.position && signed.value == claim.signature
        })
    }

    fn has_signed(&self, claim: &Claim<'_>) -> bool {
        let mut jar = CookieJar::new();
        let signed = header_value(claim.position, claim.signature);
        jar.add_original(Cookie::new(ANY_NAME, signed));
        self.keys.iter().any(|key| jar.signed(key).get(ANY_NAME).is_some())
    }
}

/// Prints no key.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

/// The header that keeps a cookie for `lifetime`. Nothing in it needs to be encoded.
fn set_cookie(name: &str, value: &str, lifetime: Duration, is_secure: bool) -> String {
    let cookie = Cookie::build((name, value)).path("/").max_age(lifetime);
    cookie.http_only(true).same_site(SameSite::Lax).secure(is_secure).build().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: Position = Position { system: 7, timeline: 1, lsn: 0x16B_3748 };

    fn key(byte: u8) -> Key {
        Key::from(&[byte; 64])
    }

    fn signer(keys: &Keys) -> Signer {
        Signer::new(keys.clone())
    }

    /// The positions in the header `cookie` of a request.
    fn brought_to(keys: &Keys, cookies: &str) -> Option<Position> {
        signer(keys).session([cookies], [""]).data().position(7)
    }

    fn cookie_of(keys: &Keys) -> String {
        let Signed { cookie, value, .. } = signer(keys).signed(SEEN).unwrap();
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
            let is_known = brought_to(verifies, &cookie_of(signs)) == Some(SEEN);
            assert_eq!(is_known, expected, "{}", cookie_of(signs));
        }
    }

    #[test]
    fn a_signer_that_has_just_signed_verifies_as_another_one() {
        let keys = Keys::new(key(2)).and_verifying([key(1)]);
        let signer = signer(&keys);
        let Signed { value, cookie, .. } = signer.signed(SEEN).unwrap();
        let old = cookie_of(&Keys::new(key(1)));
        let forged = if value.starts_with('A') { "B" } else { "A" }.to_owned() + &value[1..];
        let later = cookie_name(Position { lsn: SEEN.lsn + 1, ..SEEN }, &value);
        for (pair, is_known) in [
            (format!("{cookie}={value}"), true),
            (old, true),
            (format!("{cookie}={forged}"), false),
            (format!("{later}={value}"), false),
        ] {
            let brought = signer.session([&*pair], [""]).data().position(7);
            assert_eq!(brought, is_known.then_some(SEEN), "{pair}");
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
            assert_eq!(brought_to(&keys, &cookies), Some(SEEN), "{cookies}");
        }
    }
}
