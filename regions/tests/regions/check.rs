//! What fixtures cannot show: line ends, file names, secrets, unreadable and large files, noise.

use archipelago_regions::{check, check_distances, load, render};
use proptest::prelude::*;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// How many mutated files are checked.
const MUTATED: usize = 100_000;

#[test]
fn byte_order_mark_and_windows_line_ends_keep_line_numbers() {
    let source = "\u{feff}primary = \"nrt\"\r\n\r\nreplicas = [\"nrt\"]\r\n";
    let mistakes = check("regions.toml", source, None).unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert_eq!(mistakes[0].line, 3);
}

#[test]
fn messages_use_the_given_file_names() {
    let mistakes = check("conf/world.toml", "primary = \"nrt\"", Some("primary_region = \"ord\""))
        .unwrap_err();
    assert!(
        mistakes[0].to_string().starts_with("conf/world.toml:1: the primary is \"nrt\" here"),
        "{}",
        mistakes[0]
    );
    assert!(mistakes[0].problem.contains("fly.toml:1"), "{}", mistakes[0]);
    let regions = check("conf/world.toml", "primary = \"nrt\"", None).unwrap();
    assert!(render(&regions).contains("source \"conf/world.toml\";"));
}

#[test]
fn no_message_repeats_a_url() {
    let url = "postgres://app:secret@db.example.com/app";
    let source = format!(
        "primary = \"{url}\"\nreplicas = [\"{url}\"]\n[places.ord]\nurl_env = \"{url}\"\n\
         [places.\"{url}\"]\nlatitude = 1"
    );
    let types = format!(
        "primary = [\"{url}\"]\nreplicas = \"{url}\"\n[routing]\nmax_lag = \"{url}\"\n\
         max_spill = \"{url}\"\nwrites = \"{url}\""
    );
    let syntax = format!("primary = {url}\nreplicas = [{url}]\n{url}\n");
    for source in [source, types, syntax] {
        for mistake in check("regions.toml", &source, Some(&format!("primary_region = \"{url}\"")))
            .unwrap_err()
        {
            assert!(!mistake.to_string().contains("secret"), "{mistake}");
        }
    }
}

#[test]
fn unreadable_files_have_a_fix() {
    let folder = folder("unreadable");
    let file = folder.join("regions.toml");
    let messages = |file: &Path| {
        load(file).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert!(messages(&file).ends_with(
        ":1: the file does not exist; create it with at least one line, such as `primary = \"nrt\"`"
    ));

    fs::write(&file, b"primary = \"nrt\"\n# M\xfcnchen\n").unwrap();
    assert!(messages(&file).ends_with(
        ":2: the file is not UTF-8 from here on; save it as UTF-8, the encoding of every TOML file"
    ));

    fs::write(&file, "primary = \"nrt\"\n").unwrap();
    fs::write(folder.join("fly.toml"), b"\xff").unwrap();
    assert!(messages(&file).contains("fly.toml:1: the file is not UTF-8"));

    fs::write(folder.join("fly.toml"), "primary_region = \"nrt\"\n").unwrap();
    assert_eq!(load(&file).unwrap().primary.place.code, "nrt");
}

#[test]
fn control_characters_are_escaped() {
    let text = "primary = \"nrt\"\n[places.ord]\nurl_env = \"DATABASE_URL_\\u001b[2J\"\n";
    let mistakes = check("re\u{1b}gions.toml", text, None).unwrap_err();
    let message = mistakes[0].to_string();
    assert!(message.starts_with(r"re\u{1b}gions.toml:3: "), "{message}");
    assert!(message.contains(r"DATABASE_URL_\u{1b}[2J"), "{message}");
}

/// Comparing each of these codes with each known one would take minutes.
#[test]
fn suggestions_stop_in_a_file_with_thousands_of_mistakes() {
    let codes = |first: char| (0..5000).map(move |number| format!("{first}{number:04}"));
    let mut text = "primary = \"nrtt\"\nreplicas = [".to_owned();
    codes('x').for_each(|code| write!(text, "{code:?},").unwrap());
    text += "\n\"ordd\"]\n";
    for code in codes('y') {
        write!(text, "[places.{code}]\nlatitude = 1\nlongitude = 2\nurl_env = \"A\"\n").unwrap();
    }
    let mistakes = check("regions.toml", &text, None).unwrap_err();
    // Unknown codes, shared variables and unused variables.
    assert_eq!(mistakes.len(), 5002 + 4999 + 5000);
    assert!(mistakes[0].fix.contains("write \"nrt\""), "{}", mistakes[0]);
    assert_eq!(mistakes[5001].line, 3);
    assert!(mistakes[5001].fix.starts_with("add [places.ordd]"), "{}", mistakes[5001]);

    let mut distances = String::new();
    codes('x').for_each(|code| writeln!(distances, "{code} = {{ nrt = 1 }}").unwrap());
    let known: Vec<String> = codes('y').collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    assert_eq!(check_distances("distances.toml", &distances, &known).unwrap_err().len(), 15_000);
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Pieces of a regions.toml in any order.
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
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_text_gives_one_line_messages_with_a_line_of_the_file(
        source in prop_oneof![almost_toml(), any::<String>()],
        fly in almost_toml(),
    ) {
        if let Err(mistakes) = check("regions.toml", &source, Some(&fly)) {
            prop_assert!(!mistakes.is_empty());
            for mistake in mistakes {
                prop_assert!(!mistake.to_string().contains(char::is_control), "{mistake:?}");
                let file = if mistake.file == "fly.toml" { &fly } else { &source };
                let lines = 1 + file.matches('\n').count();
                prop_assert!((1..=lines).contains(&mistake.line), "{mistake:?}");
            }
        }
    }
}

/// Good and bad files with some of their characters removed, doubled or replaced.
#[test]
fn every_mutated_file_is_read_or_its_mistakes_have_lines() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    let files: Vec<String> = ["good", "mistakes"]
        .iter()
        .flat_map(|kind| std::fs::read_dir(format!("{folder}/{kind}")).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let pieces = [
        "\"",
        "[",
        "]",
        "=",
        "\n",
        "\u{1b}",
        "\u{2028}",
        "#",
        ".",
        "-",
        "99999999999999999999",
        "\\u0000",
    ];
    let mut random = fastrand::Rng::with_seed(16);
    let (mut good, mut wrong) = (0, 0);
    for _ in 0..MUTATED {
        let mut text: Vec<char> = random.choice(&files).unwrap().chars().collect();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..text.len().max(1)).min(text.len());
            let end = (at + random.usize(..6)).min(text.len());
            let instead: Vec<char> = match random.u8(..3) {
                0 => vec![],
                1 => text[at..end].repeat(2),
                _ => random.choice(pieces).unwrap().chars().collect(),
            };
            text.splice(at..end, instead);
        }
        let text = String::from_iter(text);
        let Err(mistakes) = check("regions.toml", &text, None) else {
            good += 1;
            continue;
        };
        wrong += 1;
        assert!(!mistakes.is_empty());
        for mistake in &mistakes {
            assert!(
                (1..=text.lines().count().max(1) + 1).contains(&mistake.line),
                "{mistake}\n{text}"
            );
            assert!(!mistake.to_string().chars().any(char::is_control), "{mistake:?}\n{text}");
        }
    }
    assert!(good > MUTATED / 50 && wrong > MUTATED / 2, "{good} good, {wrong} wrong");
}
