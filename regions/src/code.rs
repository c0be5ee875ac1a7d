//! A region's code: its form, and the Rust name made from it.

/// The longest code, in bytes: a code is one label of a host name (RFC 1035, section 2.3.4).
pub(crate) const LONGEST: usize = 63;

/// The Rust name of a region: each part between `-` and `_` with its first letter in upper case, joined.
///
/// The same rule names the types in archipelago-macros (`macros/src/`), so a change here is a change there.
///
/// ```
/// assert_eq!(archipelago_regions::rust_name("nrt"), "Nrt");
/// assert_eq!(archipelago_regions::rust_name("us-east-1"), "UsEast1");
/// ```
#[must_use]
pub fn rust_name(code: &str) -> String {
    let mut name = String::with_capacity(code.len());
    for part in code.split(['-', '_']) {
        let mut letters = part.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}

/// `[a-z][a-z0-9]*([-_][a-z0-9]+)*`, at most [`LONGEST`] bytes.
pub(crate) fn is_well_formed(code: &str) -> bool {
    code.len() <= LONGEST
        && code.starts_with(|first: char| first.is_ascii_lowercase())
        && code.split(['-', '_']).all(|part| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        })
}

/// Whether a well-formed code can stand in Rust source as an identifier.
pub(crate) fn is_identifier(code: &str) -> bool {
    !code.contains('-')
}

/// The well-formed code that someone who wrote `text` most likely means, if there is one.
pub(crate) fn repaired(text: &str) -> Option<String> {
    let lower = text.trim().to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect();
    let code = words.join("-");
    is_well_formed(&code).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_a_code() {
        for good in ["nrt", "a", "us-east-1", "us_east", "box", "r2d2"] {
            assert!(is_well_formed(good), "{good}");
        }
        let long = "a".repeat(LONGEST + 1);
        for bad in [
            "",
            "NRT",
            "1st",
            "-a",
            "a-",
            "a--b",
            "a_-b",
            "us east",
            "zürich",
            "a.b",
            long.as_str(),
        ] {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }

    #[test]
    fn a_repair_is_offered_only_when_it_is_obvious() {
        assert_eq!(repaired("NRT").as_deref(), Some("nrt"));
        assert_eq!(repaired(" us east--1 ").as_deref(), Some("us-east-1"));
        assert_eq!(repaired("1st"), None);
        assert_eq!(repaired("zürich"), None);
        assert_eq!(repaired(""), None);
    }
}
