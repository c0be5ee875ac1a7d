//! What strangers send, made up by the hundred thousand: positions, cookies, headers, URLs.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

use super::cookie::{Claim, cookie_name, header_value, host_only};
use super::fly_replay::LONGEST_BODY;
use super::{Key, Keys, Signer, WriteRequest};
use crate::position::Position;
use crate::region::Writes;
use crate::settings::DatabaseUrl;

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 100_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(16),
        ..ProptestConfig::default()
    }
}

fn position() -> impl Strategy<Value = Position> {
    let parts = (1..=u64::MAX, 1..=u32::MAX, 1..=u64::MAX);
    parts.prop_map(|(system, timeline, lsn)| Position { system, timeline, lsn })
}

/// Pieces of what is meant, in any order, with a byte of something else.
fn odd(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    vec(prop_oneof![4 => select(pieces).prop_map(str::to_owned), 1 => ".{0,3}"], 0..12)
        .prop_map(|pieces| pieces.concat())
}

fn signer(byte: u8) -> Signer {
    Signer::new(Keys::new(Key::from(&[byte; 64])))
}

/// A cookie of this position, as `signer` writes it.
fn cookie(signer: &Signer, position: Position, is_secure: bool) -> String {
    let (name, value) = signer.cookie(position).expect("there is a key");
    format!("{}={value}", if is_secure { host_only(&name) } else { name })
}

thread_local! {
    static OURS: Signer = signer(1);
    static THEIRS: Signer = signer(2);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_position_is_read_as_it_is_written(position in position()) {
        prop_assert_eq!(position.to_string().parse(), Ok(position));
        let name = cookie_name(position, "signature");
        prop_assert_eq!(Claim::in_cookie(&name, "").map(|claim| claim.position), Some(position));
        let header = header_value(position, &"s".repeat(44));
        prop_assert_eq!(Claim::in_header(&header).map(|claim| claim.position), Some(position));
    }

    #[test]
    fn what_is_no_position_is_refused(
        text in odd(&["v1", "-", "7", "1", "0", "/", "FF", "18446744073709551616", "archipelago.", "."])
    ) {
        if let Ok(position) = text.parse::<Position>() {
            prop_assert_eq!(position.to_string().parse(), Ok(position));
        }
        let _ = (Claim::in_cookie(&text, &text), Claim::in_header(&text));
    }

    #[test]
    fn only_signed_cookies_count_among_odd_ones(
        position in position(),
        before in vec(any::<u8>(), 0..20),
        after in odd(&["archipelago.v1-7-1-0.FF.x", "=", ";", " ", "\"", "__Host-", "%"]),
        is_secure in any::<bool>(),
    ) {
        let system = position.system;
        let brought = |signer: &Signer, is_ours: bool| {
            let cookie = cookie(signer, position, is_secure);
            let jar = [&before[..], b"; ", cookie.as_bytes(), b"; ", after.as_bytes()].concat();
            let session = OURS.with(|ours| ours.session([&jar[..]], [&jar[..]]));
            let brought = session.data().position(system);
            prop_assert_eq!(brought, is_ours.then_some(position), "{}", jar.escape_ascii());
            Ok(())
        };
        OURS.with(|ours| brought(ours, true))?;
        THEIRS.with(|theirs| brought(theirs, false))?;
    }

    #[test]
    fn a_write_is_replayed_once_and_with_a_short_body_only(
        length in prop::option::of(odd(&["0", "1", "999999", "1000000", "-", "+", " ", "18446744073709551616"])),
        encoding in prop::option::of(odd(&["chunked", ",", "gzip"])),
        edge in prop::option::of(odd(&["syd", "nrt"])),
        source in prop::option::of(odd(&["region=", "syd"])),
        is_http2 in any::<bool>(),
    ) {
        let header = |name: &str| match name {
            "content-length" => length.as_deref(),
            "transfer-encoding" => encoding.as_deref(),
            "fly-region" => edge.as_deref(),
            "fly-replay-src" => source.as_deref(),
            _ => None,
        };
        let request = WriteRequest::new(header, is_http2);
        if request.replay(Writes::Replay, "syd", "nrt").is_some() {
            let length = length.as_deref().map_or(Some(0), |length| length.trim().parse().ok());
            prop_assert!(length.is_some_and(|length: u64| length <= LONGEST_BODY));
            prop_assert!(edge.is_some() && source.is_none());
        }
        prop_assert!(request.replay(Writes::Replay, "nrt", "nrt").is_none());
        prop_assert!(request.replay(Writes::Direct, "syd", "nrt").is_none());
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_url_that_is_read_is_read_again(
        url in odd(&[
            "postgres://", "app", ":", "@", "/", "?", "&", "=", ",", "host", "db.internal", "[::1]",
            "5432", "sslmode", "disable", "options", "-c%20a%3Db", "%2F", "%", "hostaddr", "127.0.0.1",
        ])
    ) {
        let url = format!("postgres://{url}");
        if let Ok(read) = url.parse::<DatabaseUrl>() {
            let again: DatabaseUrl = read.expose().parse().expect("it was read before");
            prop_assert_eq!(again.to_string(), read.to_string());
            prop_assert!(!read.host().contains('@'), "{}", url);
        }
    }
}
