//! Which database is asked next: a pure decision.

/// What the failover of a read has come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress<'a> {
    /// The candidates by their indices, the nearest first.
    pub(crate) order: &'a [usize],
    pub(crate) leader: usize,
    /// The members that were asked, or passed over because they are down.
    pub(crate) tried: &'a [usize],
}

/// What the read needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Any database.
    Any,
    /// The primary if it was not tried: a replica was behind, and the primary shows every commit.
    PrimaryFirst,
    /// The primary, and no other.
    PrimaryOnly,
    /// Any database but the primary: the read may be what broke the connection.
    ReplicaOnly,
}

impl Progress<'_> {
    /// The member that is asked next: the nearest replica that was not tried, and the leader last.
    pub(crate) fn next(self, wanted: Wanted) -> Option<usize> {
        let is_untried = |index: &usize| !self.tried.contains(index);
        let leader = Some(self.leader).filter(is_untried);
        let mut replicas = self.order.iter().copied().filter(|index| *index != self.leader);
        match wanted {
            Wanted::PrimaryOnly => leader,
            Wanted::PrimaryFirst if leader.is_some() => leader,
            Wanted::ReplicaOnly => replicas.find(is_untried),
            Wanted::PrimaryFirst | Wanted::Any => replicas.find(is_untried).or(leader),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Wanted::{Any, PrimaryFirst, PrimaryOnly, ReplicaOnly};
    use super::*;

    #[test]
    fn which_member_is_next() {
        let order = [2, 0, 1, 3];
        // What was tried, what is wanted, and what is next where member 0 leads.
        let table: [(&[usize], Wanted, Option<usize>); 13] = [
            (&[], Any, Some(2)),
            (&[2], Any, Some(1)),
            (&[2, 1, 3], Any, Some(0)),
            (&[2, 0], Any, Some(1)),
            (&[3, 2, 0, 1], Any, None),
            (&[2], PrimaryFirst, Some(0)),
            (&[2, 0], PrimaryFirst, Some(1)),
            (&[3, 2, 0, 1], PrimaryFirst, None),
            (&[2], PrimaryOnly, Some(0)),
            (&[0], PrimaryOnly, None),
            (&[2], ReplicaOnly, Some(1)),
            (&[0], ReplicaOnly, Some(2)),
            (&[3, 2, 1], ReplicaOnly, None),
        ];
        for (tried, wanted, next) in table {
            let progress = Progress { order: &order, leader: 0, tried };
            assert_eq!(progress.next(wanted), next, "{wanted:?} after {tried:?}");
        }
    }

    #[test]
    fn a_leader_outside_the_order_is_last_as_well() {
        let progress = Progress { order: &[], leader: 0, tried: &[] };
        assert_eq!(progress.next(Any), Some(0));
        assert_eq!(Progress { tried: &[0], ..progress }.next(Any), None);
    }
}
