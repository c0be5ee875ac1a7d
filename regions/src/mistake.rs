//! A mistake in a file: where it is, what is wrong, what to write instead.

use std::fmt;

/// One mistake, shown on one line as `regions.toml:LINE: what is wrong; what to write instead`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file, by the name it was given.
    pub file: String,
    /// The line, from 1. A file that is missing or empty has its mistake on line 1.
    pub line: usize,
    /// What is wrong.
    pub wrong: String,
    /// What to write instead.
    pub instead: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, wrong, instead } = self;
        write!(f, "{file}:{line}: {wrong}; {instead}")
    }
}

impl std::error::Error for Mistake {}
