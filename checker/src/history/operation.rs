//! One request of a visitor, and what came of it.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::Position;
use crate::workload::register::{Row, Version};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Action {
    /// A new user. Sent again with the same key, until the answer is certain.
    Create(Row),
    /// This version of an own one.
    Update(Row, Version),
    /// One user. Rather an old answer, marked as such, than none.
    Read(Row),
    /// One user's form: nothing older than `max_lag`.
    Edit(Row),
    /// A page of the list. As one user.
    List,
}

impl Action {
    /// Whether it changes something.
    #[must_use]
    pub fn is_write(self) -> bool {
        self.written().is_some()
    }

    /// Whether an old answer, marked as such, is better than none.
    #[must_use]
    pub fn may_be_old(self) -> bool {
        matches!(self, Self::Read(_) | Self::List)
    }

    /// What a write leaves behind.
    #[must_use]
    pub fn written(self) -> Option<(Row, Version)> {
        match self {
            Self::Create(row) => Some((row, 1)),
            Self::Update(row, version) => Some((row, version)),
            Self::Read(_) | Self::Edit(_) | Self::List => None,
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// A write was acknowledged, a read answered.
    Done,
    /// The answer says that nothing was written; a read failed.
    Refused,
    /// A write may have happened, and may still happen: no answer, or one that does not say.
    Uncertain,
}

/// What was recorded of it. Times count from the beginning of the round.
#[derive(Clone, Debug, Serialize)]
pub struct Operation {
    /// Who.
    pub visitor: u32,
    /// Where the visitor stood.
    pub place: String,
    /// When it was sent.
    pub start: Duration,
    /// When the answer was there.
    pub end: Duration,
    /// What was asked for.
    pub action: Action,
    /// How it ended.
    pub outcome: Outcome,
    /// Of the answer; none where there was none.
    pub status: Option<u16>,
    /// The header `x-served-by`.
    pub served_by: Option<String>,
    /// The region of the instance that gave the answer.
    pub instance: Option<String>,
    /// How far the database was.
    pub position: Option<Position>,
    /// Of the user that a write has written.
    pub id: Option<i64>,
    /// Every row that the answer showed, or should have shown.
    pub seen: Vec<(Row, Version)>,
}

impl Operation {
    /// The region of the database that answered.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.served_by.as_deref()?.split(';').next()
    }

    /// How old the answer says that it is, in whole seconds, where it may be older than `max_lag`.
    #[must_use]
    pub fn stale(&self) -> Option<Duration> {
        let (_, seconds) = self.served_by.as_deref()?.split_once("; stale=")?;
        seconds.strip_suffix('s')?.parse().ok().map(Duration::from_secs)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            visitor,
            place,
            start,
            end,
            action,
            outcome,
            status,
            served_by,
            instance,
            position,
            ..
        } = self;
        write!(
            f,
            "{:8.3}–{:.3} s  visitor {visitor} in {place}: ",
            start.as_secs_f64(),
            end.as_secs_f64()
        )?;
        match action {
            Action::Create(row) => write!(f, "creates {row}")?,
            Action::Update(row, version) => write!(f, "writes {}", row.name(*version))?,
            Action::Read(row) => write!(f, "reads {row}")?,
            Action::Edit(row) => write!(f, "opens the form of {row}")?,
            Action::List => f.write_str("lists")?,
        }
        if let (Action::Read(_) | Action::Edit(_), [(_, version)]) = (action, self.seen.as_slice())
        {
            write!(f, ", sees s{version}")?;
        }
        write!(f, ": {outcome:?}")?;
        status.map_or(Ok(()), |status| write!(f, " ({status})"))?;
        instance.as_ref().map_or(Ok(()), |instance| write!(f, " by the instance in {instance}"))?;
        served_by.as_ref().map_or(Ok(()), |by| write!(f, " [{by}]"))?;
        position.map_or(Ok(()), |position| write!(f, " at {position}"))
    }
}
