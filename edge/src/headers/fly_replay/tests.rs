//! Tests of every field of `fly-replay`, and of every mistake in one.

use hyper::header::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<FlyReplay, String> {
    text.parse::<FlyReplay>().map_err(|error| error.to_string())
}

#[test]
fn every_field_is_read() {
    let text = concat!(
        r#"region="nrt, ord,any";instance=nrt;app=shop;elsewhere=true;"#,
        r#"state="a; \"b\"";timeout=800ms;fallback=force_self"#,
    );
    let replay = FlyReplay {
        regions: ["nrt", "ord", "any"].map(str::to_owned).to_vec(),
        instance: Some("nrt".to_owned()),
        app: Some("shop".to_owned()),
        elsewhere: true,
        state: Some("a; \"b\"".to_owned()),
        timeout: Some(Duration::from_millis(800)),
        fallback: Some(Fallback::ForceSelf),
    };
    assert_eq!(read(text), Ok(replay));
}

#[test]
fn one_field_is_enough() {
    assert_eq!(read("region=nrt").unwrap().regions, ["nrt"]);
    assert!(read("elsewhere=true").unwrap().elsewhere);
    assert_eq!(read("app=shop").unwrap().app.as_deref(), Some("shop"));
    assert_eq!(read("region=nrt;timeout=2m").unwrap().timeout, Some(Duration::from_mins(2)));
    assert_eq!(
        read("region=nrt;fallback=prefer_self").unwrap().fallback,
        Some(Fallback::PreferSelf)
    );
}

#[test]
fn every_error_says_what_to_write() {
    let mistakes = [
        ("", "no target is given: write `region=`, `instance=`, `app=` or `elsewhere=true`"),
        (
            "state=x;elsewhere=false",
            "no target is given: write `region=`, `instance=`, `app=` or `elsewhere=true`",
        ),
        ("nrt", "`nrt` is not a field: write `name=value`, and `;` between fields"),
        ("region=nrt,ord", "a list of regions must be quoted: write `region=\"nrt,ord\"`"),
        ("region=", "`region=` is invalid: write codes of regions, or `any`"),
        ("region=nrt;region=ord", "the field `region` appears twice: write it once"),
        (
            "prefer_instance=a",
            "unknown field `prefer_instance`: the fields are region, instance, app, elsewhere, \
             state, timeout and fallback",
        ),
        ("elsewhere=yes", "`elsewhere=yes` is invalid: write `true` or `false`"),
        (
            "region=nrt;fallback=self",
            "`fallback=self` is invalid: write `prefer_self` or `force_self`",
        ),
        (
            "region=nrt;timeout=10",
            "`timeout=10` is invalid: write a number and `ms`, `s` or `m`, such as `10s`",
        ),
    ];
    for (text, message) in mistakes {
        assert_eq!(read(text), Err(message.to_owned()), "{text}");
    }
}

#[test]
fn a_response_asks_by_one_header() {
    const FORM: &str = "content-type";
    type Headers<'a> = &'a [(&'static str, &'a [u8])];
    let cases: [(Headers<'_>, _); 6] = [
        (&[], Ok(false)),
        (&[(FORM, b"text/html")], Ok(false)),
        (&[(FLY_REPLAY, b"region=nrt")], Ok(true)),
        (&[(FLY_REPLAY, b"region=\xe9")], Err(FlyReplayError::NotAscii)),
        (&[(FLY_REPLAY, b"region=nrt"), (FLY_REPLAY, b"")], Err(FlyReplayError::SeveralHeaders)),
        (&[(FORM, JSON.as_bytes())], Err(FlyReplayError::Json)),
    ];
    for (headers, expected) in cases {
        let mut response = HeaderMap::new();
        for (name, value) in headers {
            response.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        }
        assert_eq!(FlyReplay::of(&response).map(|replay| replay.is_some()), expected);
    }
}

/// The header as an instance would write it.
fn written(replay: &FlyReplay) -> String {
    let (regions, timeout) = (
        replay.regions.join(","),
        replay.timeout.map(|timeout| format!("{}ms", timeout.as_millis())),
    );
    let mut fields = vec![("elsewhere", if replay.elsewhere { "true" } else { "false" })];
    fields.extend((!regions.is_empty()).then_some(("region", regions.as_str())));
    fields.extend(replay.instance.as_deref().map(|instance| ("instance", instance)));
    fields.extend(replay.app.as_deref().map(|app| ("app", app)));
    fields.extend(replay.state.as_deref().map(|state| ("state", state)));
    fields.extend(timeout.as_deref().map(|timeout| ("timeout", timeout)));
    fields.extend(replay.fallback.map(|fallback| {
        let name = if fallback == Fallback::PreferSelf { "prefer_self" } else { "force_self" };
        ("fallback", name)
    }));
    fields::write(&fields)
}

proptest! {
    #[test]
    fn written_replays_are_read_again(
        regions in prop::collection::vec("[a-z]{3}|any", 1..4),
        instance in prop::option::of("[0-9a-f]{8}"),
        app in prop::option::of("[a-z-]{1,9}"),
        elsewhere: bool,
        state in prop::option::of("[ -~]{0,30}"),
        timeout in prop::option::of(0_u32..),
        fallback in prop::option::of(prop_oneof![
            Just(Fallback::PreferSelf),
            Just(Fallback::ForceSelf)
        ]),
    ) {
        let timeout = timeout.map(|timeout| Duration::from_millis(timeout.into()));
        let replay = FlyReplay { regions, instance, app, elsewhere, state, timeout, fallback };
        prop_assert_eq!(written(&replay).parse(), Ok(replay));
    }

    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = text.parse::<FlyReplay>();
    }

    #[test]
    fn no_list_of_fields_panics(
        text in "((region|instance|app|elsewhere|state|timeout|fallback)=[a-z0-9,\"\\\\é]*;?)*",
    ) {
        let _ = text.parse::<FlyReplay>();
    }
}
