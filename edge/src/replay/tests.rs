//! What `fly-replay` may say, and what becomes of it.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Replay, String> {
    text.parse::<Replay>().map_err(|error| error.to_string())
}

#[test]
fn every_field() {
    let text = r#"region="nrt, ord,any";instance=nrt;app=shop;elsewhere=true;state="a; \"b\"";timeout=800ms;fallback=force_self"#;
    let replay = Replay {
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
fn every_mistake_says_what_to_write() {
    let mistakes = [
        ("", "it does not say where to: write `region=`, `instance=`, `app=` or `elsewhere=true`"),
        (
            "state=x;elsewhere=false",
            "it does not say where to: write `region=`, `instance=`, `app=` or `elsewhere=true`",
        ),
        ("nrt", "`nrt` is no field: write `name=value`, and `;` between fields"),
        ("region=nrt,ord", "a list of regions must be quoted: write `region=\"nrt,ord\"`"),
        ("region=", "`region=` means nothing: write codes of regions, or `any`"),
        ("region=nrt;region=ord", "the field `region` is there twice"),
        (
            "prefer_instance=a",
            "the field `prefer_instance` is unknown: region, instance, app, elsewhere, state, timeout and fallback are obeyed here",
        ),
        ("elsewhere=yes", "`elsewhere=yes` means nothing: write `true` or `false`"),
        (
            "region=nrt;fallback=self",
            "`fallback=self` means nothing: write `prefer_self` or `force_self`",
        ),
        (
            "region=nrt;timeout=10",
            "`timeout=10` means nothing: write a number and `ms`, `s` or `m`, such as `10s`",
        ),
    ];
    for (text, message) in mistakes {
        assert_eq!(read(text), Err(message.to_owned()), "{text}");
    }
}

/// As an instance would write it.
fn written(replay: &Replay) -> String {
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
    fn what_is_asked_for_is_what_is_read(
        regions in prop::collection::vec("[a-z]{3}|any", 1..4),
        instance in prop::option::of("[0-9a-f]{8}"),
        app in prop::option::of("[a-z-]{1,9}"),
        elsewhere: bool,
        state in prop::option::of("[ -~]{0,30}"),
        timeout in prop::option::of(0_u32..),
        fallback in prop::option::of(prop_oneof![Just(Fallback::PreferSelf), Just(Fallback::ForceSelf)]),
    ) {
        let timeout = timeout.map(|timeout| Duration::from_millis(timeout.into()));
        let replay = Replay { regions, instance, app, elsewhere, state, timeout, fallback };
        prop_assert_eq!(written(&replay).parse(), Ok(replay));
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        let _ = text.parse::<Replay>();
    }

    #[test]
    fn no_field_makes_it_panic(text in "((region|instance|app|elsewhere|state|timeout|fallback)=[a-z0-9,\"\\\\é]*;?)*") {
        let _ = text.parse::<Replay>();
    }
}
