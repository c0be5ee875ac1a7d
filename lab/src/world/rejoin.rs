//! A server that has lost its way becomes a replica of the primary.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{LabError, World};

/// For a primary to write its dirty pages, of which it has few.
const CHECKPOINT: Duration = Duration::from_mins(1);

/// How a server got the data of the primary that it follows now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejoined {
    /// By `pg_rewind`, which replaces only what differs; where nothing did, nothing was.
    Rewound,
    /// By a new base backup, which replaces everything.
    Copied,
}

impl World {
    /// Makes a replica of the present primary of a server that is none: an old primary, or a replica that cannot follow. What
    /// it has and the primary does not is lost. Returns when it streams and has replayed where the primary was.
    ///
    /// A running server is stopped first. `pg_rewind` is tried, and a base backup made where that is not installed or not
    /// able to: it finds its way back only as far as the server's own log reaches.
    ///
    /// # Errors
    /// [`LabError::Shared`]; [`LabError::UnknownRegion`]; [`LabError::IsPrimary`]; [`LabError::NotRunning`], [`LabError::Frozen`] and
    /// [`LabError::TooSlow`] of the primary;
    /// as for [`Server::start`](crate::Server::start).
    pub async fn rejoin(&self, region: &str) -> Result<Rejoined, LabError> {
        self.primary().breakable("change the roles of servers")?;
        let _turn = self.machines.roles.lock().await;
        let (machine, primary) = (self.known(region)?.machine(), self.primary().machine());
        if machine.region == primary.region {
            return Err(LabError::IsPrimary { region: region.to_owned() });
        }
        // Until its first checkpoint a new primary's data says that it is still on the old timeline, which is what `pg_rewind`
        // goes by.
        let doing = "make a checkpoint";
        let session = primary.session(doing).await?;
        primary.within(CHECKPOINT, doing, session.batch_execute("CHECKPOINT")).await?;
        machine.rejoin(primary.as_upstream()).await
    }
}

impl fmt::Display for Rejoined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rewound => "rewound by pg_rewind",
            Self::Copied => "made anew by a base backup",
        })
    }
}
