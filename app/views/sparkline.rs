//! A curve of the last minutes, as small as a word.

use std::fmt::Write;
use std::time::Duration;

use super::human_time;
use crate::overview::{SAMPLE_EVERY, SAMPLES, Sample};

/// Its height, in its own units; each sample is one unit wide.
const HEIGHT: f64 = 24.0;

/// A curve of the last minutes. It grows from the right.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sparkline {
    /// The path of what is known.
    pub(crate) curve: String,
    /// The path of the time in which the database was down.
    pub(crate) down: String,
    /// The same in words.
    pub(crate) caption: String,
}

impl Sparkline {
    /// The samples come with the oldest first.
    pub(super) fn new(what: &str, samples: impl ExactSizeIterator<Item = Sample> + Clone) -> Self {
        let shown = samples.clone().filter(|sample| !sample.is_down);
        let seconds = shown.filter_map(|sample| sample.seconds);
        let highest = seconds.fold(0.0, f64::max);
        let scale = (HEIGHT - 4.0) / highest.max(0.001);
        let count = u32::try_from(samples.len()).unwrap_or_default();
        let first = SAMPLES.saturating_sub(samples.len());
        let (mut curve, mut down, mut was_known) = (String::new(), String::new(), false);
        let mut downs = 0;
        for (x, sample) in (first..).zip(samples) {
            if sample.is_down {
                downs += 1;
                let _ = write!(down, "M{x} {HEIGHT}h1");
            }
            let known = sample.seconds.filter(|_| !sample.is_down);
            if let Some(seconds) = known {
                let command = if was_known { 'L' } else { 'M' };
                let _ = write!(curve, "{command}{x} {:.1}", HEIGHT - 2.0 - seconds * scale);
            }
            was_known = known.is_some();
        }
        let minutes = human_time(SAMPLE_EVERY * count);
        let most = human_time(Duration::from_secs_f64(highest));
        let down_time = match downs {
            0 => String::new(),
            downs => format!(", down for {} of them", human_time(SAMPLE_EVERY * downs)),
        };
        Self {
            curve,
            down,
            caption: format!("{what} in the last {minutes}: at most {most}{down_time}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_breaks_where_the_database_is_down() {
        let known = |seconds| Sample { seconds: Some(seconds), is_down: false, is_replica: true };
        let down = Sample { seconds: Some(9.0), is_down: true, is_replica: true };
        let samples = [known(0.0), known(1.0), down, known(2.0)];
        let drawn = Sparkline::new("Lag", samples[..2].iter().copied());
        assert_eq!(drawn.curve, "M118 22.0L119 2.0");
        let drawn = Sparkline::new("Lag", samples.iter().copied());
        assert_eq!(drawn.down, "M118 24h1");
        assert_eq!(drawn.curve.matches('M').count(), 2);
        assert_eq!(
            drawn.caption,
            "Lag in the last 8 seconds: at most 2 seconds, down for 2 seconds of them"
        );
        assert_eq!(Sparkline::new("Lag", [].into_iter()).curve, "");
    }
}
