//! Which database is asked next: a pure decision.

/// What the failover of a read has come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress<'a> {
    /// The candidates by their indices, the nearest first.
    pub(crate) order: &'a [usize],
    /// How many of them, at the front, are in the nearest region.
    pub(crate) siblings: usize,
    pub(crate) leader: usize,
    /// The members that were asked, or passed over because they are down.
    pub(crate) tried: &'a [usize],
}

/// What the read needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Any database.
    Any,
    /// A replica was behind. Another one of the nearest region may not be, and costs as little; then
    /// the primary, which shows every commit.
    Fresher,
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
        let is_candidate = |index: &usize| *index != self.leader && is_untried(index);
        let nearest = || self.order.iter().copied().find(is_candidate);
        match wanted {
            Wanted::PrimaryOnly => leader,
            Wanted::Fresher => self.sibling().or(leader).or_else(nearest),
            Wanted::ReplicaOnly => nearest(),
            Wanted::Any => nearest().or(leader),
        }
    }

    /// A replica of the nearest region that was not tried.
    pub(crate) fn sibling(self) -> Option<usize> {
        let mut siblings = self.order.iter().copied().take(self.siblings);
        siblings.find(|index| *index != self.leader && !self.tried.contains(index))
    }
}

#[cfg(test)]
mod tests {
    use super::Wanted::{Any, Fresher, PrimaryOnly, ReplicaOnly};
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
            (&[2], Fresher, Some(0)),
            (&[2, 0], Fresher, Some(1)),
            (&[3, 2, 0, 1], Fresher, None),
            (&[2], PrimaryOnly, Some(0)),
            (&[0], PrimaryOnly, None),
            (&[2], ReplicaOnly, Some(1)),
            (&[0], ReplicaOnly, Some(2)),
            (&[3, 2, 1], ReplicaOnly, None),
        ];
        for (tried, wanted, next) in table {
            let progress = Progress { order: &order, siblings: 1, leader: 0, tried };
            assert_eq!(progress.next(wanted), next, "{wanted:?} after {tried:?}");
        }
    }

    #[test]
    fn a_sibling_is_asked_before_the_primary() {
        let progress = |tried| Progress { order: &[2, 3, 0, 1], siblings: 2, leader: 0, tried };
        assert_eq!(progress(&[2]).next(Fresher), Some(3));
        assert_eq!(progress(&[3]).next(Fresher), Some(2), "the first may be any of them");
        assert_eq!(progress(&[2, 3]).next(Fresher), Some(0));
        assert_eq!(progress(&[2]).next(PrimaryOnly), Some(0));
        let leads_there = Progress { leader: 3, ..progress(&[2]) };
        assert_eq!(leads_there.next(Fresher), Some(3), "the primary itself");
    }

    #[test]
    fn a_leader_outside_the_order_is_last_as_well() {
        let progress = Progress { order: &[], siblings: 0, leader: 0, tried: &[] };
        assert_eq!(progress.next(Any), Some(0));
        assert_eq!(Progress { tried: &[0], ..progress }.next(Any), None);
    }
}
