//! The last elections and changes of state: one object of `/regions/changes.json` each, and a sentence.

use std::time::SystemTime;

use archipelago::{Change, DownReason, Event, NoPrimary};
use serde::{Serialize, Serializer};

use super::down_reason::in_plain_words;

/// One object of `/regions/changes.json`. It is public, so it has no host and no error of a database.
#[derive(Serialize)]
pub(crate) struct ChangeStatus {
    /// When this instance noticed it, in UTC.
    #[serde(serialize_with = "as_text")]
    pub(crate) at: SystemTime,
    /// `up`, `down`, `leads` or `no_primary`.
    pub(crate) event: &'static str,
    /// None where no database takes the writes.
    pub(crate) region: Option<&'static str>,
    /// The timeline of a database that takes the writes.
    pub(crate) timeline: Option<u32>,
    /// Why a database is down, in one word.
    pub(crate) down_reason: Option<&'static str>,
    /// The same for people.
    pub(crate) sentence: String,
}

fn as_text<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*at))
}

impl From<Change> for ChangeStatus {
    fn from(Change { at, event, .. }: Change) -> Self {
        Self::new(at, event)
    }
}

impl ChangeStatus {
    fn new(at: SystemTime, event: Event) -> Self {
        let change = |event, region, timeline, down_reason, sentence| Self {
            at,
            event,
            region,
            timeline,
            down_reason,
            sentence,
        };
        match event {
            Event::Up { region } => {
                change("up", Some(region), None, None, format!("{region} serves reads again."))
            }
            Event::Down { region, reason } => {
                let sentence = format!("{region} serves no reads: {}.", in_plain_words(&reason));
                change("down", Some(region), None, Some(DownReason::label(&reason)), sentence)
            }
            Event::Leads { region, timeline } => {
                let sentence = format!("{region} takes the writes, on timeline {timeline}.");
                change("leads", Some(region), Some(timeline), None, sentence)
            }
            Event::NoPrimary { reason } => {
                let sentence = format!("No database takes the writes: {}.", why(&reason));
                change("no_primary", None, None, None, sentence)
            }
            _ => change("other", None, None, None, "The databases have changed.".to_owned()),
        }
    }
}

fn why(reason: &NoPrimary) -> &'static str {
    match reason {
        NoPrimary::NoneWritable => "none that answers is a primary",
        NoPrimary::Contested { .. } => "several say that they are the primary",
        NoPrimary::Unproven { .. } => "one may be a copy of the primary, which does not answer",
        _ => "it is not clear which one is the primary",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_change_for_programs_and_for_people() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1500);
        let json = |event| serde_json::to_string(&ChangeStatus::new(at, event)).unwrap();
        let detail = "no route to ord.db.internal".to_owned();
        assert_eq!(
            json(Event::Down { region: "ord", reason: DownReason::Unreachable { detail } }),
            r#"{"at":"1970-01-01T00:00:01.500Z","event":"down","region":"ord","timeline":null,"down_reason":"unreachable","sentence":"ord serves no reads: it cannot be reached."}"#
        );
        assert_eq!(
            json(Event::NoPrimary { reason: NoPrimary::NoneWritable }),
            r#"{"at":"1970-01-01T00:00:01.500Z","event":"no_primary","region":null,"timeline":null,"down_reason":null,"sentence":"No database takes the writes: none that answers is a primary."}"#
        );
    }
}
