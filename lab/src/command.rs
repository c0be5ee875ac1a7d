//! A command to a running world, as a command line parses it and another process sends it.

mod output;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use output::{CommandOutput, ServerUrl};

/// A command to a world, which [`World::execute`](crate::World::execute) carries out.
///
/// With the cargo feature `cli` it is a [`clap::Subcommand`](https://docs.rs/clap), whose help
/// these lines are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Subcommand))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Command {
    /// Cut the link between two places: bytes wait, connections hang, no end is told
    Cut {
        /// One of the places
        a: String,
        /// The other
        b: String,
    },
    /// Restore the link between two places: delayed bytes arrive
    Heal {
        /// One of the places
        a: String,
        /// The other
        b: String,
    },
    /// Change the round-trip time of the link between two places until it is healed
    Slow {
        /// One of the places
        a: String,
        /// The other
        b: String,
        /// How long a message and its answer take, such as 250ms
        #[cfg_attr(feature = "cli", arg(value_parser = humantime::parse_duration))]
        round_trip: Duration,
    },
    /// Stop a server: sessions end, the log is flushed and sent
    Stop {
        /// The server's region
        region: String,
    },
    /// Crash a server: all its processes are killed at once
    Kill {
        /// The server's region
        region: String,
    },
    /// Freeze a server: connections stay open and hang
    Freeze {
        /// The server's region
        region: String,
    },
    /// Let a frozen server continue where it was
    Thaw {
        /// The server's region
        region: String,
    },
    /// Start a stopped or killed server; an old primary would take writes again: `rejoin` it
    Start {
        /// The server's region
        region: String,
    },
    /// Pause the replay of a replica: it receives, but shows nothing newer
    Pause {
        /// The replica's region
        region: String,
    },
    /// Resume replay after a pause
    Resume {
        /// The replica's region
        region: String,
    },
    /// Delay a replica: it replays each commit so much later
    Lag {
        /// The replica's region
        region: String,
        /// The delay, such as 3s; 0 ends it
        #[cfg_attr(feature = "cli", arg(value_parser = humantime::parse_duration))]
        delay: Duration,
    },
    /// Promote a replica; the old primary is stopped first, so that no commit is lost
    Promote {
        /// The replica's region
        region: String,
        /// Leave the old primary as it is: if it runs, two servers take writes
        #[cfg_attr(feature = "cli", arg(long))]
        leave_old_running: bool,
    },
    /// Make an old primary, or a replica that cannot follow, a replica of the present primary
    Rejoin {
        /// The server's region
        region: String,
    },
    /// Show every server and every link
    // The command line has a subcommand of its own for this, with options for the output.
    #[cfg_attr(feature = "cli", command(skip))]
    Status,
    /// Show the URLs of all servers, with their passwords
    Urls {
        /// The place of the program that will use them: they lead over the links from there
        from: Option<String>,
    },
}

impl Command {
    /// Whether it changes nothing.
    pub(crate) fn is_query(&self) -> bool {
        matches!(self, Self::Status | Self::Urls { .. })
    }

    /// Whether it runs beside another command, which may be waiting for what this one changes.
    pub(crate) fn runs_beside_others(&self) -> bool {
        self.is_query()
            || matches!(
                self,
                Self::Cut { .. } | Self::Heal { .. } | Self::Slow { .. } | Self::Thaw { .. }
            )
    }
}
