//! Limits how often one place in the code logs a warning or an error: a fault that meets each request
//! must not fill the disk.

use std::collections::HashMap;
use std::fmt;
use std::mem::take;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::settings::LogFormat;

/// How many lines of one place are written in [`WINDOW`].
const LINES: u32 = 10;

const WINDOW: Duration = Duration::from_secs(1);

/// Formats the lines that the limit allows.
pub(super) struct RateLimited<F> {
    event: F,
    format: LogFormat,
    places: Mutex<HashMap<Identifier, Recent>>,
}

impl<F> RateLimited<F> {
    /// Formats them as `event` does. Its lines are in `format`.
    pub(super) fn new(event: F, format: LogFormat) -> Self {
        Self { event, format, places: Mutex::default() }
    }

    /// How many lines of this place were left out since its last one. None where this one is, too.
    fn left_out(&self, place: &'static Metadata<'static>, now: Instant) -> Option<u32> {
        if *place.level() > Level::WARN {
            return Some(0);
        }
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.entry(place.callsite()).or_insert_with(|| Recent::new(now)).count(now)
    }
}

impl<S, N, F> FormatEvent<S, N> for RateLimited<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        match self.left_out(event.metadata(), Instant::now()) {
            None => return Ok(()),
            Some(0) => {}
            Some(left_out) => self.tell(left_out, event.metadata(), &mut writer)?,
        }
        self.event.format_event(context, writer, event)
    }
}

impl<F> RateLimited<F> {
    /// A line of its own, in the format of the others.
    fn tell(&self, left_out: u32, place: &Metadata<'_>, writer: &mut Writer<'_>) -> fmt::Result {
        let (message, level, target) = (
            format_args!("{left_out} lines like the next were left out"),
            place.level(),
            place.target(),
        );
        match self.format {
            LogFormat::Text => writeln!(writer, "{message}"),
            LogFormat::Json => {
                writer.write_str("{\"timestamp\":\"")?;
                SystemTime.format_time(writer)?;
                writeln!(
                    writer,
                    r#"","level":"{level}","fields":{{"message":"{message}","left_out":{left_out}}},"target":"{target}"}}"#
                )
            }
        }
    }
}

/// What one place logged in the current window.
struct Recent {
    since: Instant,
    written: u32,
    left_out: u32,
}

impl Recent {
    fn new(since: Instant) -> Self {
        Self { since, written: 0, left_out: 0 }
    }

    fn count(&mut self, now: Instant) -> Option<u32> {
        if now.duration_since(self.since) >= WINDOW {
            *self = Self { left_out: self.left_out, ..Self::new(now) };
        }
        if self.written == LINES {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.written += 1;
        Some(take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_limited_and_counted() {
        let start = Instant::now();
        let mut recent = Recent::new(start);
        let counts: Vec<_> = (0..LINES + 5).map(|_| recent.count(start)).collect();
        assert!(counts[..LINES as usize].iter().all(|count| *count == Some(0)));
        assert_eq!(counts[LINES as usize..], [None; 5]);
        assert_eq!(recent.count(start + WINDOW / 2), None);

        assert_eq!(recent.count(start + WINDOW), Some(6), "the next window tells");
        assert_eq!(recent.count(start + WINDOW), Some(0), "once");
    }
}
