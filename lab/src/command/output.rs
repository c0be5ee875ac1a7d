//! What a world says to a command.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Role, Status};

/// What came of a [`Command`](crate::Command). As text it is for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CommandOutput {
    /// What is so now, in one line.
    Done(String),
    /// To [`Command::Status`](crate::Command::Status).
    Status(Status),
    /// To [`Command::Urls`](crate::Command::Urls), in the order of the description.
    Urls(Vec<ServerUrl>),
}

/// How to reach a server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServerUrl {
    /// Where it stands.
    pub region: String,
    /// What it is at this moment.
    pub role: Role,
    /// Of the world's database, as the role `app`, with the password.
    pub url: String,
}

impl fmt::Display for CommandOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(text) => f.write_str(text),
            Self::Status(status) => status.fmt(f),
            Self::Urls(urls) => {
                let line = |it: &ServerUrl| format!("{} {} {}", it.region, it.role, it.url);
                f.write_str(&urls.iter().map(line).collect::<Vec<_>>().join("\n"))
            }
        }
    }
}

/// Without the URL, which has a password in it.
impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerUrl")
            .field("region", &self.region)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
