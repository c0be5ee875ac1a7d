//! The faults: what fails, and how it is repaired.

use std::time::Duration;

use archipelago::RegionSet;
use archipelago_app::repos::Repos;
use archipelago_lab::{LabError, Server, World};
use clap::ValueEnum;

use crate::contenders::replica_region;
use crate::world::INSTANCE;

/// A fault. All but the last two affect the region of the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// No fault: the yardstick.
    Nothing,
    /// The replica crashes.
    Kill,
    /// The replica hangs.
    Freeze,
    /// The line between the instance and the replica is cut.
    Cut,
    /// The line to the primary's region is cut, for the instance and for replication.
    CutPrimary,
    /// The replica replays each commit three seconds late.
    Lag,
    /// The replica replays each commit later than `max_lag` allows.
    LagBeyond,
    /// The primary is shut down, and a replica is promoted.
    SwitchOver,
    /// The primary crashes, and a replica is promoted at once.
    Failover,
}

impl Fault {
    /// The name in arguments.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Cut => "cut",
            Self::CutPrimary => "cut-primary",
            Self::Lag => "lag",
            Self::LagBeyond => "lag-beyond",
            Self::SwitchOver => "switch-over",
            Self::Failover => "failover",
        }
    }

    /// The fault in words.
    #[must_use]
    pub fn meaning(self) -> String {
        let (home, primary, lag) = (replica_region(), Repos::PRIMARY.code, self.lag());
        match self {
            Self::Nothing => "nothing happens".to_owned(),
            Self::Kill => format!("{home}'s replica crashes"),
            Self::Freeze => format!("{home}'s replica hangs"),
            Self::Cut => format!("{home}'s instance is cut off from {home}'s replica"),
            Self::CutPrimary => format!("{home} is cut off from {primary}"),
            Self::Lag | Self::LagBeyond => {
                format!("{home}'s replica replays each commit {lag:?} late")
            }
            Self::SwitchOver => format!("{primary} is stopped, {} is promoted", promoted()),
            Self::Failover => format!("{primary} crashes, {} is promoted", promoted()),
        }
    }

    /// The server that this fault promotes.
    #[must_use]
    pub fn promoted_server(self, world: &World) -> Option<&Server> {
        matches!(self, Self::SwitchOver | Self::Failover).then(|| world.server(promoted()))?
    }

    /// Causes the fault.
    ///
    /// # Errors
    /// When the lab fails.
    pub async fn cause(self, world: &World) -> Result<(), LabError> {
        let home = home(world);
        match self {
            Self::Nothing => Ok(()),
            Self::Kill => home.kill().await,
            Self::Freeze => home.freeze().await,
            Self::Cut => world.links().cut(INSTANCE, home.region()),
            Self::CutPrimary => {
                world.links().cut(home.region(), Repos::PRIMARY.code)?;
                world.links().cut(INSTANCE, Repos::PRIMARY.code)
            }
            Self::Lag | Self::LagBeyond => home.lag(self.lag()).await,
            Self::SwitchOver => world.switch_over(promoted()).await.map(drop),
            Self::Failover => {
                world.primary().kill().await?;
                world.promote(promoted()).await.map(drop)
            }
        }
    }

    /// Repairs the fault.
    ///
    /// # Errors
    /// When the lab fails.
    pub async fn repair(self, world: &World) -> Result<(), LabError> {
        let home = home(world);
        match self {
            Self::Nothing => Ok(()),
            Self::Kill => home.start().await,
            Self::Freeze => home.thaw().await,
            Self::Cut => {
                world.links().heal(INSTANCE, home.region());
                Ok(())
            }
            Self::CutPrimary => {
                world.links().heal(home.region(), Repos::PRIMARY.code);
                world.links().heal(INSTANCE, Repos::PRIMARY.code);
                Ok(())
            }
            Self::Lag | Self::LagBeyond => home.lag(Duration::ZERO).await,
            Self::SwitchOver | Self::Failover => world.rejoin(Repos::PRIMARY.code).await.map(drop),
        }
    }

    /// How late the replica replays each commit.
    fn lag(self) -> Duration {
        if self == Self::LagBeyond {
            Repos::MAX_LAG + Duration::from_secs(5)
        } else {
            Duration::from_secs(3)
        }
    }
}

/// The region that is promoted: the last one, which is neither the primary's nor the instance's.
fn promoted() -> &'static str {
    Repos::REGIONS[Repos::REGIONS.len() - 1].code
}

/// The replica of the instance's region.
fn home(world: &World) -> &Server {
    world.server(replica_region()).unwrap_or(world.primary())
}
