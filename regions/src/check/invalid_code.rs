//! Invalid region codes: why a text is refused, and the code that was probably meant.

use super::suggest;
use super::value::quoted;
use crate::places::built_in_places;
use crate::region_code::{MAX_REGION_CODE_LEN, is_region_code, normalized, rust_name};

/// Why a text is refused as a code.
pub(super) struct InvalidCode {
    pub problem: String,
    pub fix: String,
    /// The valid code that was probably meant.
    pub intended: Option<String>,
}

/// An error unless a region or a place can have this code.
pub(super) fn validate(code: &str) -> Result<(), InvalidCode> {
    if is_region_code(code) && !is_self(code) { Ok(()) } else { Err(explain(code)) }
}

/// Why `text` is no valid code.
pub(super) fn explain(text: &str) -> InvalidCode {
    let invalid = |problem: &str, fix: &str| InvalidCode {
        problem: problem.to_owned(),
        fix: fix.to_owned(),
        intended: None,
    };
    if text.trim().is_empty() {
        return invalid("a region's code is empty", "write the code of a region, such as \"nrt\"");
    }
    // Not shown: a URL may hold a password, and messages end in logs.
    if text.contains("://") {
        return invalid(
            "a URL stands where a region's code belongs",
            "write the region's code, such as \"ord\", and name the variable that holds its URL in \
             `url_env` under [places.CODE]",
        );
    }
    if is_self(text) {
        return invalid(
            "a region called \"self\" would be the Rust keyword `Self`",
            "choose another code, such as \"home\"",
        );
    }
    let problem = format!("{} is not a valid region code", quoted(text));
    let list: Option<Vec<String>> = text.split(',').map(normalized).collect();
    if let Some(codes) = list.filter(|codes| codes.len() > 1) {
        let codes: Vec<String> = codes.iter().map(|code| format!("{code:?}")).collect();
        let fix = format!("put each code in quotes of its own: {}", codes.join(", "));
        return InvalidCode { problem, fix, intended: None };
    }
    if text.len() > MAX_REGION_CODE_LEN {
        let fix = format!("write at most {MAX_REGION_CODE_LEN} characters");
        return InvalidCode { problem, fix, intended: None };
    }
    let is_built_in = |code: &str| built_in_places().iter().any(|place| place.code == code);
    let in_city = suggest::place_in_city(text).map(|place| place.code.to_string());
    let intended =
        normalized(text).filter(|code| is_built_in(code) || in_city.is_none()).or(in_city);
    let fix = match &intended {
        Some(code) => format!("write {code:?}"),
        None => "use lower-case letters and digits, a letter first, with single - or _ between \
                 words, such as \"us-east-1\""
            .to_owned(),
    };
    InvalidCode { problem, fix, intended }
}

/// Whether the region's Rust name would be the keyword `Self`.
fn is_self(code: &str) -> bool {
    rust_name(code) == "Self"
}
