//! Another server becomes the primary, and the rest follow it.

use std::fmt;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::machine::{Machine, Turn};
use crate::{LabError, Role, World, promotions};

/// What a promotion made of the servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Promotion {
    /// The region whose server is the primary now.
    pub primary: String,
    /// The timeline that it began.
    pub timeline: u32,
    /// Replicas that receive from it.
    pub following: Vec<String>,
    /// Replicas that will when they can: now they are stopped, frozen, cut off, or hold back their replay.
    pub waiting: Vec<String>,
    /// Replicas that have received of the old primary what the new one never did: they follow nobody until
    /// [`World::rejoin`].
    pub stranded: Vec<String>,
}

impl World {
    /// Makes the replica of a region the primary, and leaves the old one as it is. Returns when it takes writes, and every
    /// replica that can follows it.
    ///
    /// Where the old primary runs there are two of them now, as in a real split brain: both take writes, and what the old
    /// one takes from now on no replica will ever have. [`switch_over`](Self::switch_over) avoids that. Commits which the new
    /// primary had not received are lost; what it held back ([`lag`](crate::Server::lag),
    /// [`pause_replay`](crate::Server::pause_replay)) is not. Sessions on it stay open, and may write from now on.
    ///
    /// # Errors
    /// [`LabError::Shared`]; [`LabError::UnknownRegion`], [`LabError::NoReplica`], [`LabError::NotRunning`], [`LabError::Frozen`]; when the replica
    /// does not become a primary within a minute: then the others go on following the old one.
    pub async fn promote(&self, region: &str) -> Result<Promotion, LabError> {
        self.primary().breakable("change the roles of servers")?;
        let _turn = self.machines.roles.lock().await;
        let candidate = self.candidate(region)?;
        self.raise(candidate).await
    }

    /// Stops the primary and makes the replica of a region the new one, so that nothing is lost and there are never two.
    /// Returns as [`promote`](Self::promote) does. The old primary stays stopped: [`rejoin`](Self::rejoin) makes a replica
    /// of it, and [`start`](crate::Server::start) would make it a second primary. If it is not running, or frozen, this
    /// promises no more than `promote`; a frozen one is stopped. Where another replica is frozen or cut off, it takes 20
    /// seconds: a primary that stops waits so long for it.
    ///
    /// # Errors
    /// As for [`promote`](Self::promote), and [`LabError::NotReceived`] when the replica does not have everything that the
    /// primary has: then the old primary goes on.
    pub async fn switch_over(&self, region: &str) -> Result<Promotion, LabError> {
        self.primary().breakable("change the roles of servers")?;
        let _turn = self.machines.roles.lock().await;
        let candidate = self.candidate(region)?;
        let old = self.primary().machine();
        let goes_on = old.is_running() && !old.is_frozen();
        if goes_on {
            candidate.hand_over_from(old).await?;
        } else {
            old.stop().await;
        }
        let promotion = self.raise(candidate).await;
        if promotion.is_err() && goes_on {
            old.start().await?;
        }
        promotion
    }

    fn candidate(&self, region: &str) -> Result<&Machine, LabError> {
        let machine = self.known(region)?.machine();
        match machine.role() {
            Role::Primary => Err(LabError::NoReplica { region: region.to_owned() }),
            Role::Replica if !machine.is_running() => {
                Err(LabError::NotRunning { region: region.to_owned() })
            }
            Role::Replica if machine.is_frozen() => {
                Err(LabError::Frozen { region: region.to_owned() })
            }
            Role::Replica => Ok(machine),
        }
    }

    async fn raise(&self, candidate: &Machine) -> Result<Promotion, LabError> {
        let others = || {
            self.replicas()
                .map(crate::Server::machine)
                .filter(|other| other.region != candidate.region)
        };
        let old = self.primary().machine().as_upstream();
        promotions::record(&candidate.site.place, candidate.data())?;
        // Before the promotion, so that nobody receives from the old primary what the new one does not have.
        let new = candidate.as_upstream();
        join_all(others().map(|other| other.turn_to(&new))).await;
        let timeline = match candidate.promote().await {
            Ok(timeline) => timeline,
            Err(error) => {
                join_all(others().map(|other| other.turn_to(&old))).await;
                return Err(error);
            }
        };
        self.machines.set_primary(candidate);

        let turns = join_all(
            others().map(async |other| (other.region.clone(), other.turned(timeline).await)),
        )
        .await;
        let of = |wanted: Turn| {
            let turned = turns.iter().filter(|(_, turn)| *turn == wanted);
            turned.map(|(region, _)| region.clone()).collect::<Vec<_>>()
        };
        let (following, waiting, stranded) =
            (of(Turn::Follows), of(Turn::Waits), of(Turn::Stranded));
        Ok(Promotion { primary: candidate.region.clone(), timeline, following, waiting, stranded })
    }
}

/// `ord is primary on timeline 2; syd and ams follow it`
impl fmt::Display for Promotion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { primary, timeline, following, waiting, stranded } = self;
        write!(f, "{primary} is primary on timeline {timeline}")?;
        if let Some(names) = listed(following) {
            write!(f, "; {names} {} it", if following.len() == 1 { "follows" } else { "follow" })?;
        }
        if let Some(names) = listed(waiting) {
            write!(f, "; {names} will follow it when running, connected and replaying")?;
        }
        if let Some(names) = listed(stranded) {
            let (have, need) =
                if stranded.len() == 1 { ("has", "needs") } else { ("have", "need") };
            write!(f, "; {names} {have} received what it never did, and {need} `rejoin`")?;
        }
        Ok(())
    }
}

/// `syd`, `syd and ams`, `syd, ams and gru`.
fn listed(names: &[String]) -> Option<String> {
    let (last, rest) = names.split_last()?;
    Some(if rest.is_empty() { last.clone() } else { format!("{} and {last}", rest.join(", ")) })
}
