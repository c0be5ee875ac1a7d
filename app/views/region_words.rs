//! A region in words: its state, its lag, and what it has served.

use std::time::Duration;

use super::human_time;
use crate::overview::{ReadCounts, RegionStatus, State};

/// The state in words.
pub(super) fn state(status: &RegionStatus) -> String {
    match status.state() {
        State::Unknown => "not asked yet".to_owned(),
        State::Down => {
            let time = |seconds| format!(" for {}", human_time(Duration::from_secs_f64(seconds)));
            let time = status.down_seconds.map(time).unwrap_or_default();
            format!("down{time}: {}", status.why_down.unwrap_or("it cannot be reached"))
        }
        State::Behind => {
            let lag = if status.lag_seconds.is_some() { "too far behind" } else { "lag unknown" };
            format!("up, {lag}: not used for most reads")
        }
        State::Good => {
            format!("up, answers in {:.1} ms", status.round_trip_ms.unwrap_or_default())
        }
    }
}

/// How far a replica is behind, in words. None for a primary.
pub(super) fn lag(status: &RegionStatus) -> Option<String> {
    let behind = |seconds| human_time(Duration::from_secs_f64(seconds));
    let lag = match (status.lag_seconds, status.lag_bytes) {
        _ if status.has_everything() => "nothing".to_owned(),
        (Some(seconds), Some(bytes)) if bytes > 0 => {
            format!("at most {}, {}", behind(seconds), human_bytes(bytes))
        }
        (Some(seconds), _) => format!("at most {}", behind(seconds)),
        (None, _) => "unknown".to_owned(),
    };
    status.is_replica().then_some(lag)
}

/// Reads, and the reasons for those that were not served at home.
pub(super) fn reads(counts: ReadCounts) -> String {
    let ReadCounts { local, nearest, fresher, failover, primary } = counts;
    let reasons = [
        ("local", local),
        ("nearest", nearest),
        ("fresher", fresher),
        ("failover", failover),
        ("primary", primary),
    ];
    let all = local + nearest + fresher + failover + primary;
    let parts: Vec<_> = reasons
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| format!("{} {reason}", grouped(count)))
        .collect();
    if parts.is_empty() {
        "none".to_owned()
    } else {
        format!("{}: {}", grouped(all), parts.join(", "))
    }
}

/// A number with a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn human_bytes(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        10_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: RegionStatus = RegionStatus::UP;

    #[test]
    fn the_state_in_words() {
        let down = RegionStatus { up: Some(false), down_seconds: Some(12.0), ..UP };
        for (status, words, expected) in [
            (UP, "up, answers in 1.2 ms", State::Good),
            (
                RegionStatus { lags: true, ..UP },
                "up, too far behind: not used for most reads",
                State::Behind,
            ),
            (
                RegionStatus { lags: true, lag_seconds: None, ..UP },
                "up, lag unknown: not used for most reads",
                State::Behind,
            ),
            (RegionStatus { round_trip_ms: None, ..UP }, "not asked yet", State::Unknown),
            (RegionStatus { up: None, ..UP }, "not asked yet", State::Unknown),
            (
                RegionStatus { why_down: Some("it does not answer"), ..down },
                "down for 12 seconds: it does not answer",
                State::Down,
            ),
            (RegionStatus { up: Some(false), ..UP }, "down: it cannot be reached", State::Down),
        ] {
            assert_eq!(state(&status), words);
            assert_eq!(status.state(), expected);
        }
    }
    #[test]
    fn an_idle_replica_that_has_everything_is_behind_by_nothing() {
        let idle = RegionStatus { lag_seconds: Some(1.4), lag_bytes: Some(0), ..UP };
        for (status, words) in [
            (idle.clone(), Some("nothing")),
            (RegionStatus { lag_bytes: Some(112), ..idle.clone() }, Some("nothing")),
            (RegionStatus { lags: true, ..idle.clone() }, Some("at most 1.4 seconds")),
            (RegionStatus { lag_bytes: None, ..idle.clone() }, Some("at most 1.4 seconds")),
            (
                RegionStatus { lag_bytes: Some(12_345), ..idle.clone() },
                Some("at most 1.4 seconds, 12 kB"),
            ),
            (RegionStatus { lag_seconds: None, lags: true, ..idle.clone() }, Some("unknown")),
            (RegionStatus { role: "primary", ..idle }, None),
        ] {
            assert_eq!(lag(&status).as_deref(), words);
        }
    }

    #[test]
    fn reads_are_told_with_their_reasons() {
        assert_eq!(reads(UP.reads), "none");
        let counts = ReadCounts { local: 1_234_567, failover: 3, ..UP.reads };
        assert_eq!(reads(counts), "1,234,570: 1,234,567 local, 3 failover");
    }
}
