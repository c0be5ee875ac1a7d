//! Durations in regions.toml: a whole number with `ms`, `s`, `m` or `h`.

use std::time::Duration;

/// Parses a duration such as `"10s"`. The error is the fix for the mistake.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    strict(text).ok_or_else(|| match normalized(text) {
        Some(normalized) => format!("write {normalized:?}"),
        None => "write a whole number with ms, s, m or h, such as \"10s\"".to_owned(),
    })
}

fn strict(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    // Some languages read 010 as eight.
    if number.len() > 1 && number.starts_with('0') {
        return None;
    }
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    // A number too large for u64 is still a duration, and longer than any limit.
    let number: u64 = number
        .bytes()
        .try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
        .unwrap_or(u64::MAX);
    (unit_at > 0).then(|| Duration::from_millis(number.saturating_mul(milliseconds)))
}

/// The valid form of a duration such as `10 seconds`, `10S` or `10`.
fn normalized(text: &str) -> Option<String> {
    let plain: String =
        text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    let unit_at = plain.find(|c: char| !c.is_ascii_digit()).unwrap_or(plain.len());
    let (number, unit) = plain.split_at(unit_at);
    let unit = match unit {
        "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => "ms",
        "" | "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "hr" | "hrs" | "hour" | "hours" => "h",
        other => other,
    };
    let digits = number.trim_start_matches('0');
    let normalized = format!("{digits}{unit}");
    strict(&normalized).map(|_| normalized)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_units() {
        for (text, milliseconds) in
            [("250ms", 250), ("10s", 10_000), ("2m", 120_000), ("1h", 3_600_000), ("0s", 0)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn invalid_durations_suggest_the_valid_form() {
        for (text, valid) in
            [("10", "10s"), ("10 s", "10s"), ("10S", "10s"), ("5 minutes", "5m"), ("010s", "10s")]
        {
            assert_eq!(parse(text), Err(format!("write {valid:?}")), "{text}");
        }
        for text in ["", "s", "1.5s", "-1s", "1m30s", "2d", "ten seconds", "1_000ms"] {
            assert!(parse(text).is_err_and(|fix| fix.contains("whole number")), "{text}");
        }
    }
}
