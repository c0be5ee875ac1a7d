//! The output of a command.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::server_process::Role;
use crate::status::Status;

/// The output of a [`Command`](crate::Command). Its text is for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CommandOutput {
    /// What the command did, in one line.
    Done(String),
    /// Of [`Command::Status`](crate::Command::Status).
    Status(Status),
    /// Of [`Command::Urls`](crate::Command::Urls), in the order in which the world was described.
    Urls(Vec<ServerUrl>),
}

/// A server's URL.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServerUrl {
    /// The server's region.
    pub region: String,
    /// The server's present role.
    pub role: Role,
    /// The URL of the world's database for the role `app`, with the password.
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

/// Without the URL, which holds a password.
impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerUrl")
            .field("region", &self.region)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
