//! One request of a client, from its start to its outcome.

use std::fmt;
use std::time::Duration;

use super::Position;
use crate::workload::{Register, Request, Version};

/// How an operation ended: Jepsen's `ok`, `fail` and `info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A write was acknowledged, or a read answered.
    Ok,
    /// The answer says that nothing was written, or a read got no usable answer.
    Failed,
    /// A write got no answer, or one that leaves its outcome open: it may have happened, and may
    /// still happen.
    Unknown,
}

/// One request of a client and what came back. Times count from the start of the run.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The client that sent it.
    pub client: u32,
    /// The region that the client sent it from.
    pub region: String,
    /// When it was sent.
    pub start: Duration,
    /// When its answer had arrived.
    pub end: Duration,
    /// What it asked for.
    pub request: Request,
    /// How it ended.
    pub outcome: Outcome,
    /// The HTTP status; `None` without an answer.
    pub status: Option<u16>,
    /// The answer's header `x-served-by`.
    pub served_by: Option<String>,
    /// The region of the app's instance that answered.
    pub instance: Option<String>,
    /// The position that the answer reports.
    pub position: Option<Position>,
    /// The id of the user that a write made or changed.
    pub user_id: Option<i64>,
    /// What a read showed. A register that it should have shown and did not has version 0.
    pub observed: Vec<(Register, Version)>,
}

impl Operation {
    /// The region of the database server that answered.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.served_by.as_deref()?.split(';').next()
    }

    /// Whether the database server that answered called itself a primary.
    #[must_use]
    pub fn is_by_a_primary(&self) -> bool {
        self.served_by.as_deref().is_some_and(|it| it.contains("; role=primary"))
    }

    /// The age that the answer states, in whole seconds, where it may be older than `max_lag`.
    #[must_use]
    pub fn stale(&self) -> Option<Duration> {
        let (_, seconds) = self.served_by.as_deref()?.split_once("; stale=")?;
        seconds.strip_suffix('s')?.parse().ok().map(Duration::from_secs)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, region, request, outcome, .. } = self;
        let [start, end] = [self.start, self.end].map(|time| time.as_secs_f64());
        write!(f, "{start:8.3}–{end:.3} s  client {client} in {region}: ")?;
        match request {
            Request::Create(register) => write!(f, "creates {register}")?,
            Request::Update(register, version) => {
                write!(f, "writes {}", register.user_name(*version))?;
            }
            Request::Read(register) => write!(f, "reads {register}")?,
            Request::EditForm(register) => write!(f, "opens the form of {register}")?,
            Request::List => f.write_str("lists")?,
            Request::Commit(register, version, kind) => {
                write!(f, "commits {} ({kind:?})", register.user_name(*version))?;
            }
        }
        if let (Request::Read(_) | Request::EditForm(_), [(_, version)]) =
            (request, self.observed.as_slice())
        {
            write!(f, ", observes v{version}")?;
        }
        write!(f, ": {outcome:?}")?;
        if let Some(status) = self.status {
            write!(f, " ({status})")?;
        }
        if let Some(instance) = &self.instance {
            write!(f, " by the app in {instance}")?;
        }
        if let Some(served_by) = &self.served_by {
            write!(f, " [{served_by}]")?;
        }
        if let Some(position) = self.position {
            write!(f, " at {position}")?;
        }
        Ok(())
    }
}
