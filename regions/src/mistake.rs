//! One mistake in a file: its line, the problem and the fix.

use std::fmt;

/// One mistake in a file, displayed on one line as `FILE:LINE: problem; fix`.
///
/// No field holds a control character: those of the file are escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file's name, as it was given to the check.
    pub file: String,
    /// The line, from 1. A mistake about the whole file, such as a missing file, is on line 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub fix: String,
}

impl Mistake {
    pub(crate) fn new(file: &str, line: usize, problem: &str, fix: &str) -> Self {
        let [file, problem, fix] = [file, problem, fix].map(escape_control_characters);
        Self { file, line, problem, fix }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, problem, fix } = self;
        write!(f, "{file}:{line}: {problem}; {fix}")
    }
}

impl std::error::Error for Mistake {}

/// Control characters could break the line that cargo reads, or a terminal.
fn escape_control_characters(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}
