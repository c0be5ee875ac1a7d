//! `fly-replay`, with which an instance asks for the request to be run again elsewhere.
//!
//! As in <https://fly.io/docs/networking/dynamic-request-routing/>, but for what this edge does not play: `prefer_instance`, the
//! names of continents, the form in JSON, and the cache.

use std::str::FromStr;
use std::time::Duration;

use crate::fields::{self, Field, FieldError};

/// What an instance asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Replay {
    /// In the order of preference; [`ANY`] stands for all the others.
    pub(crate) regions: Vec<String>,
    pub(crate) instance: Option<String>,
    pub(crate) app: Option<String>,
    /// Anywhere but where the answer came from.
    pub(crate) elsewhere: bool,
    /// For the next instance to see, in `fly-replay-src`.
    pub(crate) state: Option<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) fallback: Option<Fallback>,
}

/// Whom the request goes back to when nobody elsewhere can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// The instance that asked; if it cannot be reached either, any other.
    PreferSelf,
    /// The instance that asked, or nobody.
    ForceSelf,
}

/// In a list of regions: any region that the list does not name.
pub(crate) const ANY: &str = "any";

/// Why a `fly-replay` cannot be obeyed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error("it is no text in ASCII")]
    NoText,
    #[error("it is in JSON, which is not read here: send the header `fly-replay`")]
    Json,
    #[error("there are several `fly-replay` headers: an answer may have one")]
    Several,
    #[error("the field `{0}` is there twice")]
    Twice(String),
    #[error(
        "the field `{0}` is unknown: region, instance, app, elsewhere, state, timeout and fallback are obeyed here"
    )]
    Unknown(String),
    #[error("`{name}={value}` means nothing: write {wanted}")]
    Value { name: &'static str, value: String, wanted: &'static str },
    #[error("a list of regions must be quoted: write `region=\"{0}\"`")]
    BareList(String),
    #[error("it does not say where to: write `region=`, `instance=`, `app=` or `elsewhere=true`")]
    Nowhere,
}

impl FromStr for Replay {
    type Err = ReplayError;

    fn from_str(text: &str) -> Result<Self, ReplayError> {
        let mut replay = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for field in fields::read(text)? {
            if seen.contains(&field.name) {
                return Err(ReplayError::Twice(field.name));
            }
            seen.push(field.name.clone());
            let Field { name, value, is_quoted } = field;
            match name.as_str() {
                "region" => replay.regions = regions(value, is_quoted)?,
                "instance" => {
                    replay.instance = Some(present("instance", value, "the id of an instance")?)
                }
                "app" => replay.app = Some(present("app", value, "the name of an app")?),
                "elsewhere" => replay.elsewhere = flag(value)?,
                "state" => replay.state = Some(value),
                "timeout" => replay.timeout = Some(duration(value)?),
                "fallback" => replay.fallback = Some(fallback(value)?),
                _ => return Err(ReplayError::Unknown(name)),
            }
        }
        if replay.regions.is_empty()
            && replay.instance.is_none()
            && replay.app.is_none()
            && !replay.elsewhere
        {
            return Err(ReplayError::Nowhere);
        }
        Ok(replay)
    }
}

fn regions(value: String, is_quoted: bool) -> Result<Vec<String>, ReplayError> {
    if value.contains(',') && !is_quoted {
        return Err(ReplayError::BareList(value));
    }
    value
        .split(',')
        .map(|region| present("region", region.trim().to_owned(), "codes of regions, or `any`"))
        .collect()
}

fn present(name: &'static str, value: String, wanted: &'static str) -> Result<String, ReplayError> {
    if value.is_empty() { Err(ReplayError::Value { name, value, wanted }) } else { Ok(value) }
}

fn flag(value: String) -> Result<bool, ReplayError> {
    value.parse().map_err(|_| ReplayError::Value {
        name: "elsewhere",
        value,
        wanted: "`true` or `false`",
    })
}

fn fallback(value: String) -> Result<Fallback, ReplayError> {
    match value.as_str() {
        "prefer_self" => Ok(Fallback::PreferSelf),
        "force_self" => Ok(Fallback::ForceSelf),
        _ => Err(ReplayError::Value {
            name: "fallback",
            value,
            wanted: "`prefer_self` or `force_self`",
        }),
    }
}

/// `800ms`, `10s`, `1m`.
fn duration(value: String) -> Result<Duration, ReplayError> {
    let digits = value.find(|character: char| !character.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let duration = number.parse::<u32>().ok().and_then(|number| match unit {
        "ms" => Some(Duration::from_millis(number.into())),
        "s" => Some(Duration::from_secs(number.into())),
        "m" => Some(Duration::from_secs(u64::from(number) * 60)),
        _ => None,
    });
    duration.ok_or(ReplayError::Value {
        name: "timeout",
        value,
        wanted: "a number and `ms`, `s` or `m`, such as `10s`",
    })
}

#[cfg(test)]
mod tests;
