//! `fly-replay`, the response header with which an instance asks for a replay elsewhere.
//!
//! Follows <https://fly.io/docs/networking/dynamic-request-routing/>. Not supported:
//! `prefer_instance`, the names of continents, the JSON form, and the replay cache.

use std::str::FromStr;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;

use super::FLY_REPLAY;
use super::fields::{self, Field, FieldError};

/// The content type of the JSON form, which is not supported.
const JSON: &str = "application/vnd.fly.replay+json";

/// The fields of one `fly-replay` header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FlyReplay {
    /// In the order of preference. [`ANY`](crate::places::ANY) means all other regions.
    pub(crate) regions: Vec<String>,
    pub(crate) instance: Option<String>,
    pub(crate) app: Option<String>,
    /// Whether the instance that asks is excluded.
    pub(crate) elsewhere: bool,
    /// Passed on in `fly-replay-src`.
    pub(crate) state: Option<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) fallback: Option<Fallback>,
}

/// Where a request returns to if its replay reaches no instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// The instance that asked for the replay, then any other.
    PreferSelf,
    /// Only the instance that asked for the replay.
    ForceSelf,
}

/// Why a `fly-replay` cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FlyReplayError {
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error("the value is not ASCII text")]
    NotAscii,
    #[error("the JSON form is not supported: send the header `fly-replay`")]
    Json,
    #[error("the response has several `fly-replay` headers: send one")]
    SeveralHeaders,
    #[error("the field `{0}` appears twice: write it once")]
    DuplicateField(String),
    #[error(
        "unknown field `{0}`: the fields are region, instance, app, elsewhere, state, timeout and \
         fallback"
    )]
    UnknownField(String),
    #[error("`{name}={value}` is invalid: write {wanted}")]
    InvalidValue { name: &'static str, value: String, wanted: &'static str },
    #[error("a list of regions must be quoted: write `region=\"{0}\"`")]
    UnquotedList(String),
    #[error("no target is given: write `region=`, `instance=`, `app=` or `elsewhere=true`")]
    NoTarget,
}

impl FlyReplay {
    /// The replay that a response asks for, if it asks for one.
    pub(crate) fn of(response: &HeaderMap) -> Result<Option<Self>, FlyReplayError> {
        let mut values = response.get_all(FLY_REPLAY).iter();
        match (values.next(), values.next()) {
            (None, _) if response.get(CONTENT_TYPE).is_some_and(|form| form == JSON) => {
                Err(FlyReplayError::Json)
            }
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(FlyReplayError::SeveralHeaders),
            (Some(value), None) => {
                value.to_str().map_err(|_| FlyReplayError::NotAscii)?.parse().map(Some)
            }
        }
    }
}

impl FromStr for FlyReplay {
    type Err = FlyReplayError;

    fn from_str(text: &str) -> Result<Self, FlyReplayError> {
        let mut replay = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for field in fields::read(text)? {
            if seen.contains(&field.name) {
                return Err(FlyReplayError::DuplicateField(field.name));
            }
            seen.push(field.name.clone());
            let Field { name, value, is_quoted } = field;
            match name.as_str() {
                "region" => replay.regions = regions(value, is_quoted)?,
                "instance" => {
                    replay.instance = Some(non_empty("instance", value, "the id of an instance")?);
                }
                "app" => replay.app = Some(non_empty("app", value, "the name of an app")?),
                "elsewhere" => replay.elsewhere = flag(value)?,
                "state" => replay.state = Some(value),
                "timeout" => replay.timeout = Some(duration(value)?),
                "fallback" => replay.fallback = Some(fallback(value)?),
                _ => return Err(FlyReplayError::UnknownField(name)),
            }
        }
        if replay.regions.is_empty()
            && replay.instance.is_none()
            && replay.app.is_none()
            && !replay.elsewhere
        {
            return Err(FlyReplayError::NoTarget);
        }
        Ok(replay)
    }
}

fn regions(value: String, is_quoted: bool) -> Result<Vec<String>, FlyReplayError> {
    if value.contains(',') && !is_quoted {
        return Err(FlyReplayError::UnquotedList(value));
    }
    value
        .split(',')
        .map(|region| non_empty("region", region.trim().to_owned(), "codes of regions, or `any`"))
        .collect()
}

fn non_empty(
    name: &'static str,
    value: String,
    wanted: &'static str,
) -> Result<String, FlyReplayError> {
    if value.is_empty() {
        Err(FlyReplayError::InvalidValue { name, value, wanted })
    } else {
        Ok(value)
    }
}

fn flag(value: String) -> Result<bool, FlyReplayError> {
    value.parse().map_err(|_| FlyReplayError::InvalidValue {
        name: "elsewhere",
        value,
        wanted: "`true` or `false`",
    })
}

fn fallback(value: String) -> Result<Fallback, FlyReplayError> {
    match value.as_str() {
        "prefer_self" => Ok(Fallback::PreferSelf),
        "force_self" => Ok(Fallback::ForceSelf),
        _ => Err(FlyReplayError::InvalidValue {
            name: "fallback",
            value,
            wanted: "`prefer_self` or `force_self`",
        }),
    }
}

/// Reads `800ms`, `10s` or `1m`.
fn duration(value: String) -> Result<Duration, FlyReplayError> {
    let digits = value.find(|character: char| !character.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let duration = number.parse::<u32>().ok().and_then(|number| match unit {
        "ms" => Some(Duration::from_millis(number.into())),
        "s" => Some(Duration::from_secs(number.into())),
        "m" => Some(Duration::from_secs(u64::from(number) * 60)),
        _ => None,
    });
    duration.ok_or(FlyReplayError::InvalidValue {
        name: "timeout",
        value,
        wanted: "a number and `ms`, `s` or `m`, such as `10s`",
    })
}

#[cfg(test)]
mod tests;
