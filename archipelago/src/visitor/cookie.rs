//! How a visitor's cookies are named, so that none of them can go back in time.
//!
//! Requests of one visitor overlap, and an answer may overtake another. With one common name, the
//! answer that comes last would win, and it may carry the older position. Therefore:
//!
//! 1. A cookie's name is made from its position. Two positions never share a name, so an answer
//!    overwrites no other position than its own.
//! 2. An answer carries the latest of what its request brought, read and wrote.
//! 3. The same answer takes back the cookies that its request brought, except the one that it
//!    carries.
//!
//! A cookie leaves the jar only by 3, and then by 2 one that is as late came with the same answer.
//! So the latest position that any answer has brought never leaves the jar without a later one, in
//! whatever order answers arrive. (The exception is wanted: a primary takes back a position that it
//! never reached.)
//!
//! The jar is bounded: a cookie lives until the first answer arrives to a request that was sent
//! after it came. Whatever has come meanwhile answers requests that were under way by then. So a
//! jar has no more cookies of a database than the visitor had requests under way at once, and one
//! when they rest. `overlapping` tries all orders.
//!
//! Over TLS a name begins with `__Host-`: browsers take such a cookie from this host only, and send it
//! nowhere else (<https://www.rfc-editor.org/rfc/rfc6265#section-4.1.2>, and its successor 6265bis,
//! section 4.1.3.2).
//!
//! A name also has some letters of the signature. So another app at the same host and with the same
//! database, whose key differs, does not overwrite it.

use crate::position::Position;

/// What every name begins with.
const PREFIX: &str = "archipelago.";

/// What stands before it over TLS.
const HOST_ONLY: &str = "__Host-";

/// How many letters of the signature a name has.
const TAG: usize = 6;

/// The length of a signature: HMAC-SHA256 in Base64.
const SIGNATURE: usize = 44;

/// A position that a request claims to have been given, and its signature.
#[derive(Clone, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) position: Position,
    pub(crate) signature: &'a str,
    /// The name of its cookie. None if it came in the header.
    pub(crate) cookie: Option<&'a str>,
}

/// The name of the cookie that carries a position, without TLS. Its value is the signature.
pub(crate) fn cookie_name(position: Position, signature: &str) -> String {
    // A name may have no slash.
    let position = position.to_string().replace('/', ".");
    let tag: String = signature.chars().filter(char::is_ascii_alphanumeric).take(TAG).collect();
    format!("{PREFIX}{position}.{tag}")
}

/// The name over TLS of the cookie that is called `name` without.
pub(crate) fn host_only(name: &str) -> String {
    format!("{HOST_ONLY}{name}")
}

/// The value of the header that carries a position.
pub(crate) fn header_value(position: Position, signature: &str) -> String {
    format!("{signature}{position}")
}

impl<'a> Claim<'a> {
    /// The position in a cookie. None if it is another cookie, or of another format.
    pub(crate) fn in_cookie(name: &'a str, value: &'a str) -> Option<Self> {
        let plain = name.strip_prefix(HOST_ONLY).unwrap_or(name);
        let (position, _tag) = plain.strip_prefix(PREFIX)?.rsplit_once('.')?;
        let position = position.replace('.', "/").parse().ok()?;
        Some(Self { position, signature: value, cookie: Some(name) })
    }

    /// The position in a header's value.
    pub(crate) fn in_header(value: &'a str) -> Option<Self> {
        let (signature, position) = value.split_at_checked(SIGNATURE)?;
        Some(Self { position: position.parse().ok()?, signature, cookie: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITION: Position =
        Position { system: 7_437_092_810_298_376_213, timeline: 3, lsn: 0x1_016B_3748 };

    #[test]
    fn a_cookie_and_a_header_read_back() {
        let signature = "x+/".repeat(14) + "a=";
        let name = cookie_name(POSITION, &signature);
        assert_eq!(name, "archipelago.v1-7437092810298376213-3-1.16B3748.xxxxxx");
        let claim = Claim::in_cookie(&name, &signature).unwrap();
        assert_eq!((claim.position, claim.signature), (POSITION, &*signature));
        let name = host_only(&name);
        let claim = Claim::in_cookie(&name, &signature).unwrap();
        assert_eq!((claim.position, claim.cookie), (POSITION, Some(&*name)));
        let header = header_value(POSITION, &signature);
        let claim = Claim::in_header(&header).unwrap();
        assert_eq!((claim.position, claim.signature), (POSITION, &*signature));
    }

    #[test]
    fn other_cookies_and_older_formats_carry_no_position() {
        for name in [
            "",
            "notice",
            "archipelago_position",
            "archipelago_seen",
            "archipelago.",
            "archipelago.v1-7-1-0.5",
            "archipelago.7-1-0.5.abcdef",
            "archipelago.v2-7-1-0.5.abcdef",
            "__Host-archipelago.v2-7-1-0.5.abcdef",
            "__Secure-archipelago.v1-7-1-0.5.abcdef",
        ] {
            assert!(Claim::in_cookie(name, "x").is_none(), "{name}");
        }
        let old = "x".repeat(SIGNATURE) + "7437092810298376213-1-0/16B3748";
        for value in ["", "short", &old, &"ü".repeat(30)] {
            assert!(Claim::in_header(value).is_none(), "{value}");
        }
    }

    #[test]
    fn two_positions_never_share_a_name() {
        let others = [
            Position { system: 7, ..POSITION },
            Position { timeline: 31, ..POSITION },
            Position { lsn: 0x11_016B_3748, ..POSITION },
            Position { lsn: 0x1_0016_B374, ..POSITION },
        ];
        for other in others {
            assert_ne!(cookie_name(POSITION, "same"), cookie_name(other, "same"));
        }
        assert_ne!(cookie_name(POSITION, "key1"), cookie_name(POSITION, "key2"));
    }
}
