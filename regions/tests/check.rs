//! What no pair of fixture files can show: line ends, file names, files that cannot be read, and noise.

use archipelago_regions::{check, load, render};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_not_move_the_lines() {
    let source = "\u{feff}primary = \"nrt\"\r\n\r\nreplicas = [\"nrt\"]\r\n";
    let mistakes = check("regions.toml", source, None).unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert_eq!(mistakes[0].line, 3);
}

#[test]
fn both_files_are_called_by_the_names_they_were_given() {
    let mistakes = check("conf/world.toml", "primary = \"nrt\"", Some("primary_region = \"ord\""))
        .unwrap_err();
    assert!(
        mistakes[0].to_string().starts_with("conf/world.toml:1: the primary is \"nrt\" here"),
        "{}",
        mistakes[0]
    );
    assert!(mistakes[0].wrong.contains("fly.toml:1"), "{}", mistakes[0]);
    let regions = check("conf/world.toml", "primary = \"nrt\"", None).unwrap();
    assert!(render(&regions).contains("source \"conf/world.toml\";"));
}

#[test]
fn no_message_repeats_a_url() {
    let url = "postgres://app:secret@db.example.com/app";
    let source = format!(
        "primary = \"{url}\"\nreplicas = [\"{url}\"]\n[places.ord]\nurl_env = \"{url}\"\n[places.\"{url}\"]\nlatitude = 1"
    );
    let types = format!(
        "primary = [\"{url}\"]\nreplicas = \"{url}\"\n[routing]\nmax_lag = \"{url}\"\nmax_spill = \"{url}\"\nwrites = \"{url}\""
    );
    for source in [source, types] {
        for mistake in check("regions.toml", &source, Some(&format!("primary_region = \"{url}\"")))
            .unwrap_err()
        {
            assert!(!mistake.to_string().contains("secret"), "{mistake}");
        }
    }
}

#[test]
fn a_file_that_is_missing_or_no_text_says_what_to_put_there() {
    let folder = folder("unreadable");
    let file = folder.join("regions.toml");
    let said = |file: &Path| {
        load(file).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert!(said(&file).ends_with(
        ":1: there is no such file; make it, with one line at least, such as `primary = \"nrt\"`"
    ));

    fs::write(&file, b"primary = \"nrt\"\n# M\xfcnchen\n").unwrap();
    assert!(said(&file).ends_with(
        ":2: the file is not UTF-8 from here on; save it as UTF-8, the encoding of every TOML file"
    ));

    fs::write(&file, "primary = \"nrt\"\n").unwrap();
    fs::write(folder.join("fly.toml"), b"\xff").unwrap();
    assert!(said(&file).contains("fly.toml:1: the file is not UTF-8"));

    fs::write(folder.join("fly.toml"), "primary_region = \"nrt\"\n").unwrap();
    assert_eq!(load(&file).unwrap().primary.place.code, "nrt");
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Pieces that come close to a regions.toml, in any order.
fn almost_toml() -> impl Strategy<Value = String> {
    let pieces = [
        "primary",
        "replicas",
        "[pool]",
        "[routing]",
        "[places.x]",
        "[[places]]",
        "size",
        "max_lag",
        "max_spill",
        "url_env",
        "latitude",
        " = ",
        "=",
        "\"nrt\"",
        "\"ord\"",
        "\"NRT\"",
        "nrt",
        "10s",
        "1",
        "-0.5",
        "inf",
        "[",
        "]",
        "{",
        "}",
        ",",
        ".",
        "\"",
        "'",
        "\"\"\"",
        "\n",
        "\r\n",
        "#",
        "é",
        "\u{0}",
        "\\",
        "places",
        "self",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..40)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_files_hold_each_mistake_is_one_line_of_them(source in prop_oneof![almost_toml(), any::<String>()], fly in almost_toml()) {
        if let Err(mistakes) = check("regions.toml", &source, Some(&fly)) {
            prop_assert!(!mistakes.is_empty());
            for mistake in mistakes {
                prop_assert!(!mistake.to_string().contains(char::is_control), "{mistake:?}");
                let file = if mistake.file == "fly.toml" { &fly } else { &source };
                prop_assert!((1..=1 + file.matches('\n').count()).contains(&mistake.line), "{mistake:?}");
            }
        }
    }
}
