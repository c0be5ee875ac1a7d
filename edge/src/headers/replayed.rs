//! `fly-replay-src` and `fly-replay-failed`: what an instance is told about a replay.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::fields;
use super::fly_replay::FlyReplay;

/// Why a replay reached no instance, as `fly-replay-failed` writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureReason {
    NoCandidate,
    RetriesExhausted,
    Timeout,
}

impl FailureReason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoCandidate => "no_candidate",
            Self::RetriesExhausted => "retries_exhausted",
            Self::Timeout => "timeout",
        }
    }
}

/// The value of `fly-replay-src`: the instance in `source` asked for the replay at this time.
pub(crate) fn source(source: &str, replay: &FlyReplay, now: SystemTime) -> String {
    let micros = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros().to_string();
    let mut written = vec![("instance", source), ("region", source), ("t", micros.as_str())];
    written.extend(replay.state.as_deref().map(|state| ("state", state)));
    fields::write(&written)
}

/// The value of `fly-replay-failed`: a replay from `source` to `target` ended after `elapsed`.
pub(crate) fn failure(
    source: &str,
    target: &str,
    app: Option<&str>,
    reason: FailureReason,
    elapsed: Duration,
) -> String {
    let elapsed = elapsed.as_millis().to_string();
    let mut written = vec![("instance", target)];
    written.extend(app.map(|app| ("app", app)));
    written.extend([
        ("region", target),
        ("replay_source", source),
        ("reason", reason.as_str()),
        ("elapsed_ms", &elapsed),
    ]);
    fields::write(&written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_has_time_and_state() {
        let now = UNIX_EPOCH + Duration::from_micros(1_234_567);
        let cases = [
            ("region=nrt", "instance=syd;region=syd;t=1234567"),
            ("region=nrt;state=a", "instance=syd;region=syd;t=1234567;state=a"),
            ("region=nrt;state=\"a;b\"", "instance=syd;region=syd;t=1234567;state=\"a;b\""),
        ];
        for (replay, written) in cases {
            assert_eq!(source("syd", &replay.parse().unwrap(), now), written);
        }
    }

    #[test]
    fn failure_has_target_and_reason() {
        let elapsed = Duration::from_millis(150);
        let cases = [
            (
                None,
                FailureReason::NoCandidate,
                "instance=nrt;region=nrt;replay_source=syd;reason=no_candidate;elapsed_ms=150",
            ),
            (
                Some("shop"),
                FailureReason::RetriesExhausted,
                "instance=nrt;app=shop;region=nrt;replay_source=syd;reason=retries_exhausted;\
                 elapsed_ms=150",
            ),
            (
                None,
                FailureReason::Timeout,
                "instance=nrt;region=nrt;replay_source=syd;reason=timeout;elapsed_ms=150",
            ),
        ];
        for (app, reason, written) in cases {
            assert_eq!(failure("syd", "nrt", app, reason, elapsed), written);
        }
    }
}
