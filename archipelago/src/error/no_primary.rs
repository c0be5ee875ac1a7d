//! Why no database takes the writes.

use super::down_reason::quoted;

/// Why no database takes the writes of this process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoPrimary {
    /// No member that answers takes writes.
    #[error("no database that answers takes writes")]
    NoneWritable,
    /// Several members take writes on one timeline, and nothing tells which is the primary.
    #[error(
        "{} take writes on timeline {timeline}, and nothing tells which is the primary",
        quoted(.regions)
    )]
    Contested {
        /// The regions of these members.
        regions: Vec<&'static str>,
        /// Their timeline.
        timeline: u32,
    },
    /// One member takes writes, the primary does not answer, and nothing tells that the other one
    /// was promoted.
    #[error(
        "`{region}` takes writes on timeline {timeline}, and nothing tells whether it was promoted \
         or is a copy, while the primary does not answer"
    )]
    Unproven {
        /// The region of this member.
        region: &'static str,
        /// Its timeline.
        timeline: u32,
    },
    /// Members take writes on different timelines, and the login role may not see which one the
    /// replicas follow.
    #[error(
        "{} take writes on different timelines, and the login role may not see which one the \
         replicas follow: run GRANT pg_read_all_stats TO the role, or stop the wrong one",
        quoted(.regions)
    )]
    Unseen {
        /// The regions of these members.
        regions: Vec<&'static str>,
    },
    /// One member takes writes and says that no standby streams from it, while a replica has more
    /// than it, or streams from another server.
    #[error(
        "`{region}` takes writes on timeline {timeline}, and no standby streams from it, while the \
         replica `{replica}` has more than it, or streams from another server: start the primary \
         of that one, or rebuild it from `{region}`"
    )]
    LeftBehind {
        /// The region of this member.
        region: &'static str,
        /// Its timeline.
        timeline: u32,
        /// The region of the replica.
        replica: &'static str,
    },
    /// Only a primary that a promotion has replaced can be reached.
    #[error(
        "only `{region}` on timeline {timeline} takes writes, and a promotion has replaced it by \
         one on timeline {newest}, which does not answer"
    )]
    Superseded {
        /// The region of this member.
        region: &'static str,
        /// Its timeline.
        timeline: u32,
        /// The timeline of the promotion.
        newest: u32,
    },
}
