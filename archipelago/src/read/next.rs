//! Which database is asked next: a pure decision.

/// What the failover of a read has come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress<'a> {
    /// The candidates by their indices, the nearest first.
    pub(super) order: &'a [usize],
    pub(super) leader: usize,
    /// The members that were asked, or passed over because they are down.
    pub(super) tried: &'a [usize],
}

impl Progress<'_> {
    /// The nearest candidate that was not tried, and the leader last.
    pub(super) fn nearest(self) -> Option<usize> {
        let is_replica = |index: &usize| *index != self.leader;
        let untried = |index: &usize| !self.tried.contains(index);
        let mut replicas = self.order.iter().copied().filter(is_replica);
        replicas.find(untried).or_else(|| self.leader_if_untried())
    }

    /// The leader, unless it was tried: it shows every commit.
    pub(super) fn leader_if_untried(self) -> Option<usize> {
        Some(self.leader).filter(|leader| !self.tried.contains(leader))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_untried_is_next_and_the_leader_last() {
        let order = [2, 0, 1, 3];
        // What was tried, and what is next where member 0 leads.
        let table: [(&[usize], Option<usize>); 5] = [
            (&[], Some(2)),
            (&[2], Some(1)),
            (&[2, 1, 3], Some(0)),
            (&[2, 0], Some(1)),
            (&[3, 2, 0, 1], None),
        ];
        for (tried, next) in table {
            let progress = Progress { order: &order, leader: 0, tried };
            assert_eq!(progress.nearest(), next, "after {tried:?}");
        }
    }

    #[test]
    fn a_leader_outside_the_order_is_last_as_well() {
        let progress = Progress { order: &[], leader: 0, tried: &[] };
        assert_eq!((progress.nearest(), progress.leader_if_untried()), (Some(0), Some(0)));
        let tried = Progress { tried: &[0], ..progress };
        assert_eq!((tried.nearest(), tried.leader_if_untried()), (None, None));
    }
}
