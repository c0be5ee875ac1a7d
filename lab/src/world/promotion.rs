//! A promotion: a replica becomes the primary, and the other replicas follow it.

use std::fmt;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::LabError;
use crate::server::Server;
use crate::server_process::{FollowOutcome, Role, ServerProcess};
use crate::world::{World, primary_data};

/// The result of a promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Promotion {
    /// The region of the new primary.
    pub primary: String,
    /// The timeline that the new primary began.
    pub timeline: u32,
    /// Replicas that stream from the new primary.
    pub following: Vec<String>,
    /// Replicas that will stream when they can: they are stopped, frozen, cut off, or delayed.
    pub waiting: Vec<String>,
    /// Replicas that have received more from the old primary than the new one did. They follow no
    /// primary until [`World::rejoin`].
    pub stranded: Vec<String>,
}

impl World {
    /// Makes the replica of a region the primary, and leaves the old primary as it is. Returns when
    /// the new one takes writes, and every replica that can follows it.
    ///
    /// If the old primary runs, two servers take writes, as in a real split brain, and no replica
    /// ever receives the old one's. [`switch_over`](Self::switch_over) avoids that.
    ///
    /// Commits that the new primary had not received are lost. Those that it held back
    /// ([`lag`](crate::Server::lag), [`pause_replay`](crate::Server::pause_replay)) are not.
    /// Sessions on it stay open, and may write from now on.
    ///
    /// # Errors
    /// [`LabError::SharedServers`]; [`LabError::UnknownRegion`]; [`LabError::NotAReplica`];
    /// [`LabError::NotRunning`]; [`LabError::Frozen`]; if the replica does not become a primary
    /// within a minute: then the others still follow the old one.
    pub async fn promote(&self, region: &str) -> Result<Promotion, LabError> {
        self.primary().not_shared("change the roles of servers")?;
        let _roles = self.processes.roles.lock().await;
        let candidate = self.candidate(region)?;
        self.promote_candidate(candidate).await
    }

    /// Stops the primary, then makes the replica of a region the new one, so that no commit is lost
    /// and there are never two primaries. Returns as [`promote`](Self::promote) does.
    ///
    /// The old primary stays stopped: [`rejoin`](Self::rejoin) makes it a replica, and
    /// [`start`](crate::Server::start) would make it a second primary. If it does not run or is
    /// frozen, this guarantees no more than `promote`, and a frozen one is stopped. If another
    /// replica is frozen or cut off it takes 20 seconds, because a primary that stops waits for it.
    ///
    /// # Errors
    /// Those of [`promote`](Self::promote); [`LabError::NotReceived`] if the replica has not
    /// received everything that the primary has: then the old primary continues.
    pub async fn switch_over(&self, region: &str) -> Result<Promotion, LabError> {
        self.primary().not_shared("change the roles of servers")?;
        let _roles = self.processes.roles.lock().await;
        let candidate = self.candidate(region)?;
        let old = self.primary().process();
        let works = old.is_running() && !old.is_frozen();
        if works {
            candidate.hand_over_from(old).await?;
        } else {
            old.stop().await;
        }
        let promotion = self.promote_candidate(candidate).await;
        if promotion.is_err() && works {
            old.start().await?;
        }
        promotion
    }

    /// The replica of a region, if it can be promoted.
    fn candidate(&self, region: &str) -> Result<&ServerProcess, LabError> {
        let server = self.required_server(region)?.process();
        match server.role() {
            Role::Primary => Err(LabError::NotAReplica { region: region.to_owned() }),
            Role::Replica if !server.is_running() => {
                Err(LabError::NotRunning { region: region.to_owned() })
            }
            Role::Replica if server.is_frozen() => {
                Err(LabError::Frozen { region: region.to_owned() })
            }
            Role::Replica => Ok(server),
        }
    }

    async fn promote_candidate(&self, candidate: &ServerProcess) -> Result<Promotion, LabError> {
        let others = || {
            self.replicas().map(Server::process).filter(|other| other.region != candidate.region)
        };
        let old = self.primary().process().as_upstream();
        primary_data::record(&candidate.context.dir, candidate.data())?;
        // Before the promotion, so that no replica receives more from the old primary than the new
        // one has.
        let new = candidate.as_upstream();
        join_all(others().map(|other| other.follow(&new))).await;
        let timeline = match candidate.promote().await {
            Ok(timeline) => timeline,
            Err(error) => {
                join_all(others().map(|other| other.follow(&old))).await;
                return Err(error);
            }
        };
        self.processes.set_primary(candidate);

        let outcomes =
            join_all(others().map(async |other| {
                (other.region.clone(), other.wait_until_following(timeline).await)
            }))
            .await;
        let regions = |wanted: FollowOutcome| {
            let found = outcomes.iter().filter(|(_, outcome)| *outcome == wanted);
            found.map(|(region, _)| region.clone()).collect::<Vec<_>>()
        };
        let following = regions(FollowOutcome::Following);
        let waiting = regions(FollowOutcome::Waiting);
        let stranded = regions(FollowOutcome::Stranded);
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
