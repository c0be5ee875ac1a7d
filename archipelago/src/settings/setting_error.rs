//! What can be wrong with the settings.

use super::url::UrlError;

/// One thing that is wrong with the settings. Prints the variable's name, what is wrong and what to
/// write.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// A required variable is not set.
    #[error("{name} is not set; {advice}")]
    Missing {
        /// The variable.
        name: String,
        /// What to set it to.
        advice: String,
    },
    /// A variable holds a wrong value.
    #[error("{name} is `{value}`; {advice}")]
    Invalid {
        /// The variable.
        name: String,
        /// What it holds.
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
