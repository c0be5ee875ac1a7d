//! One code as somebody wrote it: accepted, repaired, or refused with what to write.

use super::Member;
use crate::check::report::Report;
use crate::check::suggest;
use crate::check::value::quoted;
use crate::code::{LONGEST, is_well_formed, repaired};
use crate::{built_in_places, rust_name};
use std::ops::Range;

/// Reads a member's code. A wrong one is reported; it is still a member when it is clear which one was meant, so that
/// a mistake of that region elsewhere is found in the same go.
pub(super) fn member(report: &mut Report<'_>, span: Range<usize>, text: &str) -> Option<Member> {
    let line = report.line(span.start);
    if is_well_formed(text) && rust_name(text) != "Self" {
        return Some(Member { code: text.to_owned(), span, line, as_written: true });
    }
    let (wrong, instead, code) = refusal(text);
    report.add(span.clone(), wrong, instead);
    code.map(|code| Member { code, span, line, as_written: false })
}

/// Why `text` is no code, what to write instead, and the code that was meant.
pub(in crate::check) fn refusal(text: &str) -> (String, String, Option<String>) {
    if text.trim().is_empty() {
        return (
            "a region's code is empty".to_owned(),
            "write the code of a region, such as \"nrt\"".to_owned(),
            None,
        );
    }
    if text.contains("://") {
        // Not shown: a URL may hold a password, and this message ends in logs.
        let instead = "write its code, such as \"ord\"; a variable with its URL goes to `url_env` under [places.CODE]";
        return ("a region is given as a URL".to_owned(), instead.to_owned(), None);
    }
    if rust_name(text) == "Self" {
        let wrong = "a region called \"self\" would be the Rust keyword `Self`".to_owned();
        return (wrong, "choose another name, such as \"home\"".to_owned(), None);
    }
    let wrong = format!("{} is not the form of a region code", quoted(text));
    let several: Option<Vec<String>> = text.split(',').map(repaired).collect();
    if let Some(codes) = several.filter(|codes| codes.len() > 1) {
        let codes: Vec<String> = codes.iter().map(|code| format!("{code:?}")).collect();
        return (
            wrong,
            format!("write each code in quotes of its own: {}", codes.join(", ")),
            None,
        );
    }
    if text.len() > LONGEST {
        return (wrong, format!("write at most {LONGEST} characters"), None);
    }
    let is_known = |code: &str| built_in_places().iter().any(|place| place.code == code);
    let city = suggest::place_called(text).map(|place| place.code.to_string());
    let meant = repaired(text).filter(|code| is_known(code) || city.is_none()).or(city);
    let instead = match &meant {
        Some(code) => format!("write {code:?}"),
        None => "begin with a lower-case letter, then letters a to z and digits, single - or _ between, such as \"us-east-1\""
            .to_owned(),
    };
    (wrong, instead, meant)
}
