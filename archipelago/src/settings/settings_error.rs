//! What can be wrong with the settings: one error, which lists every problem.

use std::fmt;

use super::shown::shown;
use super::url::UrlError;

/// Everything that is wrong with the settings, each with its variable, what is wrong and what to
/// write. Shows no secret.
///
/// A program's own settings may be reported in the same list: `into_iter` gives the problems, and
/// `SettingsError::from` takes them.
pub struct SettingsError {
    problems: Vec<SettingProblem>,
}

impl SettingsError {
    /// Each problem, in the order in which the settings were read.
    #[must_use]
    pub fn problems(&self) -> &[SettingProblem] {
        &self.problems
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problems[..] {
            [problem] => problem.fmt(f),
            problems => {
                f.write_str("the settings are wrong:")?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

/// The same text as `Display`: it is what a `main` prints that returns this error.
impl fmt::Debug for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for SettingsError {}

impl From<Vec<SettingProblem>> for SettingsError {
    fn from(problems: Vec<SettingProblem>) -> Self {
        Self { problems }
    }
}

impl From<SettingProblem> for SettingsError {
    fn from(problem: SettingProblem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl From<UrlError> for SettingsError {
    fn from(problem: UrlError) -> Self {
        SettingProblem::Url { name: "the URL".to_owned(), problem }.into()
    }
}

impl IntoIterator for SettingsError {
    type Item = SettingProblem;
    type IntoIter = std::vec::IntoIter<SettingProblem>;

    fn into_iter(self) -> Self::IntoIter {
        self.problems.into_iter()
    }
}

/// One thing that is wrong with the settings. Prints the variable's name, what is wrong and what to
/// write.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SettingProblem {
    /// A required variable is not set.
    #[error("{name} is not set; {advice}")]
    Missing {
        /// The variable.
        name: String,
        /// What to set it to.
        advice: String,
    },
    /// A variable holds a wrong value.
    #[error("{name} is `{}`; {advice}", shown(value))]
    Invalid {
        /// The variable.
        name: String,
        /// What it holds. What may be a password is not shown: it came into the wrong variable.
        value: String,
        /// What it should hold.
        advice: String,
    },
    /// A variable holds a value that is no text, or a secret: it is not shown.
    #[error("{name} cannot be used; {advice}")]
    Unusable {
        /// The variable.
        name: String,
        /// What it should hold.
        advice: String,
    },
    /// A URL cannot be used.
    #[error("{name} {problem}")]
    Url {
        /// The variable.
        name: String,
        /// What is wrong with it.
        problem: UrlError,
    },
    /// The settings were made for other repos, and leave a region out.
    #[error(
        "the settings have no region `{0}`; make them for the same repos that they are used with"
    )]
    NoRegion(String),
}

/// The same text as `Display`, which shows no secret.
impl fmt::Debug for SettingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
