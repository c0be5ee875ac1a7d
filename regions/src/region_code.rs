//! Region codes: which are valid, and the Rust name made from one.

/// The longest region code, in bytes: a code is one label of a host name (RFC 1035, section 2.3.4).
pub const MAX_REGION_CODE_LEN: usize = 63;

/// Whether `text` is a valid region code: `[a-z][a-z0-9]*([-_][a-z0-9]+)*`, at most
/// [`MAX_REGION_CODE_LEN`] bytes.
///
/// A code becomes part of host names, folder names, environment variables and Rust names, and all
/// of them take this form. regions.toml also refuses `self`, which would be the keyword `Self` in
/// Rust.
///
/// ```
/// use archipelago_regions::is_region_code;
///
/// assert!(is_region_code("us-east-1"));
/// assert!(!is_region_code("US East"));
/// ```
#[must_use]
pub fn is_region_code(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.len() <= MAX_REGION_CODE_LEN
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.split(['-', '_']).all(is_word)
}

/// The Rust name of a region: its words, separated by `-` or `_`, in upper camel case.
///
/// The macro names the generated types by the same rule (`macros/src/check.rs`): change both
/// together.
///
/// ```
/// assert_eq!(archipelago_regions::rust_name("nrt"), "Nrt");
/// assert_eq!(archipelago_regions::rust_name("us-east-1"), "UsEast1");
/// ```
#[must_use]
pub fn rust_name(code: &str) -> String {
    let mut name = String::with_capacity(code.len());
    for word in code.split(['-', '_']) {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}

/// The valid code that differs from `text` only in case, spaces and punctuation, if there is one.
pub(crate) fn normalized(text: &str) -> Option<String> {
    let lower = text.trim().to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect();
    let code = words.join("-");
    is_region_code(&code).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_and_invalid_region_codes() {
        let longest = "a".repeat(MAX_REGION_CODE_LEN);
        let too_long = "a".repeat(MAX_REGION_CODE_LEN + 1);
        for (text, valid) in [
            ("nrt", true),
            ("a", true),
            ("us-east-1", true),
            ("us_east", true),
            ("eu-west_1", true),
            ("a-1", true),
            ("box", true),
            ("self", true),
            ("r2d2", true),
            (longest.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            ("NRT", false),
            ("Nrt", false),
            ("1st", false),
            ("-a", false),
            ("a-", false),
            ("a--b", false),
            ("a_-b", false),
            ("a-_b", false),
            ("us east", false),
            ("a/b", false),
            ("../up", false),
            ("zürich", false),
            ("a.b", false),
        ] {
            assert_eq!(is_region_code(text), valid, "{text:?}");
        }
    }

    #[test]
    fn a_code_is_normalized_only_when_obvious() {
        assert_eq!(normalized("NRT").as_deref(), Some("nrt"));
        assert_eq!(normalized(" us east--1 ").as_deref(), Some("us-east-1"));
        assert_eq!(normalized("1st"), None);
        assert_eq!(normalized("zürich"), None);
        assert_eq!(normalized(""), None);
    }
}
