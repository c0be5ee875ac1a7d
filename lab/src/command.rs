//! What can be done to a running world, as one value: what a command line parses, and what another process sends.

mod answer;
mod obey;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use answer::{CommandOutput, ServerUrl};

/// Something to do to a world; see [`World::obey`](crate::World::obey). With the cargo feature `cli` it is a
/// [`clap::Subcommand`](https://docs.rs/clap), and what is said here is its help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Subcommand))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Command {
    /// Cut the line between two places: bytes wait, connections hang, nobody is told
    Cut {
        /// One of the places
        a: String,
        /// The other
        b: String,
    },
    /// Give the line between two places back its distance: what waited arrives
    Heal {
        /// One of the places
        a: String,
        /// The other
        b: String,
    },
    /// Make the line between two places slow, or fast, until it is healed
    Slow {
        /// One of the places
        a: String,
        /// The other
        b: String,
        /// What a message and its answer take, such as 250ms
        #[cfg_attr(feature = "cli", arg(value_parser = humantime::parse_duration))]
        round_trip: Duration,
    },
    /// Stop a server in order: sessions end, the log is sent
    Stop {
        /// Where the server stands
        region: String,
    },
    /// Crash a server: all its processes die at one moment
    Kill {
        /// Where the server stands
        region: String,
    },
    /// Let a server hang: connections stay open, nothing is answered
    Freeze {
        /// Where the server stands
        region: String,
    },
    /// Let a frozen server go on where it was
    Thaw {
        /// Where the server stands
        region: String,
    },
    /// Start a server that was stopped or killed; an old primary takes writes again, so `rejoin` that one
    Start {
        /// Where the server stands
        region: String,
    },
    /// Pause the replay of a replica: it receives, and shows nothing newer
    Pause {
        /// Where the replica stands
        region: String,
    },
    /// Go on replaying after a pause
    Resume {
        /// Where the replica stands
        region: String,
    },
    /// Let a replica show each commit so much later
    Lag {
        /// Where the replica stands
        region: String,
        /// Such as 3s; 0 takes it back
        #[cfg_attr(feature = "cli", arg(value_parser = humantime::parse_duration))]
        delay: Duration,
    },
    /// Make a replica the primary: stop the old one first, so that nothing is lost
    Promote {
        /// Where the replica stands
        region: String,
        /// Leave the old primary as it is: where it runs, two take writes
        #[cfg_attr(feature = "cli", arg(long))]
        leave_old_running: bool,
    },
    /// Make an old primary, or a replica that cannot follow, a replica of the present primary
    Rejoin {
        /// Where the server stands
        region: String,
    },
    /// Show every server and every line
    // How it is shown, once or live, for people or for programs, is the command line's own.
    #[cfg_attr(feature = "cli", command(skip))]
    Status,
    /// Show the URLs of all servers, with their passwords
    Urls {
        /// The place from which they are seen: through the lines from there
        from: Option<String>,
    },
}

impl Command {
    /// Whether it only asks.
    pub(crate) fn is_question(&self) -> bool {
        matches!(self, Self::Status | Self::Urls { .. })
    }

    /// Whether it is done at once, whatever else is under way: another command may wait for what this one changes.
    pub(crate) fn takes_no_turn(&self) -> bool {
        self.is_question()
            || matches!(
                self,
                Self::Cut { .. } | Self::Heal { .. } | Self::Slow { .. } | Self::Thaw { .. }
            )
    }
}
