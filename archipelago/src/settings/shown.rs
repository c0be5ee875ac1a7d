//! What a message shows of a value that may be a secret in the wrong place.

/// The value, unless it may name a database and its password.
pub(super) fn shown(value: &str) -> &str {
    let value_in_lower_case = value.to_ascii_lowercase();
    let holds = |sign: &&str| value_in_lower_case.contains(*sign);
    if ["://", "@", "password"].iter().any(holds) { "…" } else { value }
}
