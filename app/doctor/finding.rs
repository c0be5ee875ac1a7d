//! What the doctor says: a line for each thing that it has looked at.

use std::fmt::Display;

use serde::Serialize;

use crate::plain_table::{plain_table, trimmed};

/// Whether all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Passed,
    /// It works, and there is something to know or to mend.
    Warned,
    Failed,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Warned => "WARN",
            Self::Failed => "FAIL",
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The region; none for what belongs to the whole program.
    pub(super) region: Option<&'static str>,
    pub(super) check: &'static str,
    pub(super) verdict: Verdict,
    /// What was found; where it is not well, what to do.
    pub(super) text: String,
}

/// Makes the lines of one region, or those of the whole program.
#[derive(Clone, Copy)]
pub(super) struct Lines(pub(super) Option<&'static str>);

impl Lines {
    pub(super) fn passed(self, check: &'static str, text: impl Display) -> Finding {
        self.line(check, Verdict::Passed, text)
    }

    pub(super) fn warned(self, check: &'static str, text: impl Display) -> Finding {
        self.line(check, Verdict::Warned, text)
    }

    pub(super) fn failed(self, check: &'static str, text: impl Display) -> Finding {
        self.line(check, Verdict::Failed, text)
    }

    fn line(self, check: &'static str, verdict: Verdict, text: impl Display) -> Finding {
        Finding { region: self.0, check, verdict, text: text.to_string() }
    }
}

/// The lines as a table.
pub(super) fn text(findings: &[Finding]) -> String {
    let mut table = plain_table(["", "REGION", "CHECK", "FOUND"], 4);
    for finding in findings {
        let Finding { region, check, verdict, text } = finding;
        table.add_row([verdict.word(), region.unwrap_or("-"), check, text]);
    }
    trimmed(&table)
}

/// The lines as JSON.
pub(super) fn json(findings: &[Finding]) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(findings).map(|json| json + "\n")
}
