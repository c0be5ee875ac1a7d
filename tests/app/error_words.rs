//! No code of the workspace tells a server's error by the words of its message: those depend on the
//! server's language, and Diesel's own `message()` is all that it passes on.

use std::fs;
use std::path::{Path, PathBuf};

/// Pieces of PostgreSQL's and the driver's own messages, by which code has told errors before.
const WORDS: [&str; 17] = [
    "terminating connection",
    "canceling statement",
    "statement timeout",
    "cached plan",
    "cache lookup failed",
    "transaction is aborted",
    "division by zero",
    "the database system is",
    "too many clients",
    "remaining connection slots",
    "connection closed",
    "duplicate key",
    "violates ",
    "read-only transaction",
    "could not serialize",
    "deadlock detected",
    "permission denied for",
];

/// What compares texts.
const COMPARISONS: [&str; 7] =
    ["contains(", "starts_with(", "ends_with(", "find(", "== \"", "!= \"", "is_match("];

/// The lines that compare a message's words: each with its number.
fn comparisons(source: &str) -> Vec<(usize, String)> {
    let code = source.lines().map(|line| line.split("//").next().unwrap_or_default());
    let lines: Vec<_> = code.collect();
    let is_wrong = |index: &usize| {
        // A call may stand on the line before its argument.
        let before = index.checked_sub(1).map_or("", |before| lines[before]);
        let (line, both) = (lines[*index], format!("{}{}", before.trim_end(), lines[*index]));
        let compares = |text: &str| COMPARISONS.iter().any(|it| text.contains(it));
        let names_words = WORDS.iter().any(|words| line.contains(words));
        let compares_message = line.contains(".message()") && compares(line);
        compares_message
            || names_words && (compares(line) || before.ends_with('(') && compares(&both))
    };
    let wrong = (0..lines.len()).filter(is_wrong);
    wrong.map(|index| (index + 1, lines[index].trim().to_owned())).collect()
}

/// The Rust files under a folder of the workspace.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") && name != "error_words.rs" {
            found.push(path);
        }
    }
}

#[test]
fn no_error_is_told_by_its_words() {
    let mut files = Vec::new();
    sources(Path::new(env!("CARGO_MANIFEST_DIR")), &mut files);
    assert!(files.len() > 200, "the workspace is searched: {} files", files.len());
    let mut wrong = Vec::new();
    for file in files {
        for (line, code) in comparisons(&fs::read_to_string(&file).unwrap()) {
            wrong.push(format!("{}:{line}: {code}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "compare `Error::code()`:\n{}", wrong.join("\n"));
}

#[test]
fn a_comparison_of_words_is_found() {
    for (source, lines) in [
        (r#"if error.to_string().contains("statement timeout") {"#, vec![1]),
        (r#"if error.message() == "anything" {"#, vec![1]),
        ("message.contains(\n    \"terminating connection\",\n)", vec![2]),
        (r#"error.code() == Some("57014")"#, vec![]),
        (r#"// contains("statement timeout")"#, vec![]),
        (r#"let limit = "statement timeout";"#, vec![]),
        ("Some(error.message()),", vec![]),
    ] {
        let found: Vec<_> = comparisons(source).into_iter().map(|(line, _)| line).collect();
        assert_eq!(found, lines, "{source}");
    }
}
