//! What this process knows of one member: its last reply, and what its earlier replies prove.

use std::time::{Duration, Instant};

use crate::server::{ServerIdentity, ServerReport};

/// How long a primary that was heard a moment ago is awaited before an unproven one may take its
/// place: longer than an ordinary restart. A promotion that this process has seen does not wait.
pub(super) const AWAITED: Duration = Duration::from_mins(1);

/// What a member has replied when it was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) identity: ServerIdentity,
    pub(super) report: ServerReport,
}

impl Reply {
    /// Whether it comes from a server of the database `system`. A server whose role may not see
    /// its system identifier (0) counts as one.
    pub(super) fn is_of(self, system: u64) -> bool {
        self.identity.system == 0 || self.identity.system == system
    }
}

/// One member as an election sees it.
#[derive(Clone, Debug)]
pub(super) struct MemberRecord {
    pub(super) region: &'static str,
    /// None until it has replied once.
    pub(super) reply: Option<Reply>,
    /// The reply before it, of the same server. A near replica may always be asked once more before a
    /// far primary has answered; only its earlier reply came before the primary was asked.
    pub(super) previous: Option<Reply>,
    /// When the last attempt to ask it began that has ended since.
    pub(super) asked: Option<Instant>,
    /// Since when it has not answered. None while it answers.
    pub(super) silent_since: Option<Instant>,
    /// Whether the last attempt to ask it was refused.
    pub(super) is_refusing: bool,
    /// Whether this process has seen the server as a replica that streams.
    was_streaming: bool,
    /// Whether this process has seen the server stream as a replica before it took writes on a
    /// newer timeline: a promotion in step, and no copy that came up by itself.
    pub(super) was_promoted: bool,
    /// The primaries (index and timeline) that it was ahead of: it holds another history than those
    /// until it is rebuilt, also when their log has passed it since.
    pub(super) ahead_of: Vec<(usize, u32)>,
}

impl MemberRecord {
    pub(super) fn new(region: &'static str) -> Self {
        Self {
            region,
            reply: None,
            previous: None,
            asked: None,
            silent_since: None,
            is_refusing: false,
            was_streaming: false,
            was_promoted: false,
            ahead_of: Vec::new(),
        }
    }

    /// Records a reply.
    pub(super) fn observe(&mut self, reply: Reply) {
        let Reply { identity, mut report } = reply;
        let before = self.reply.filter(|before| before.identity.started == identity.started);
        let is_promotion =
            |before: &Reply| before.report.is_replica && before.report.timeline < report.timeline;
        if before.is_none() {
            (self.was_streaming, self.was_promoted) = (false, false);
            self.ahead_of.clear();
        }
        self.was_promoted |= self.was_streaming && before.as_ref().is_some_and(is_promotion);
        self.was_promoted &= !report.is_replica;
        self.was_streaming |= report.is_streaming;
        if let Some(before) = before.filter(|_| report.is_replica) {
            // Without its receiver a replica may name an older timeline than it has replayed.
            report.timeline = report.timeline.max(before.report.timeline);
        }
        self.previous = before;
        self.reply = Some(Reply { identity, report });
        self.asked = Some(report.asked);
        (self.silent_since, self.is_refusing) = (None, false);
    }

    /// Records that a server answered an attempt to ask it, and refused.
    pub(super) fn record_refusal(&mut self, asked: Instant) {
        (self.asked, self.is_refusing) = (Some(asked), true);
    }

    /// Whether the last attempt to ask it had a reply.
    pub(super) fn answers(&self) -> bool {
        self.silent_since.is_none() && !self.is_refusing
    }

    /// Records that an attempt to ask it, begun at `asked`, got no reply.
    pub(super) fn record_silence(&mut self, asked: Instant, now: Instant) {
        self.asked = Some(asked);
        self.silent_since.get_or_insert(now);
    }

    /// The last reply, if it answers now.
    pub(super) fn answer(&self) -> Option<Reply> {
        self.reply.filter(|_| self.silent_since.is_none())
    }

    /// Whether this replica, when it last replied or before, had replayed further than `primary` had
    /// written when it was asked later: they have different histories. On an older timeline as well,
    /// as `primary` left that one at an earlier position than its own.
    pub(super) fn is_ahead_of(&self, primary: Reply) -> bool {
        let Reply { identity, report: primary } = primary;
        let replies = self.reply.into_iter().chain(self.previous);
        let replies = replies.filter(|it| identity.system == 0 || it.is_of(identity.system));
        replies.map(|reply| reply.report).any(|replica| {
            replica.is_replica
                && replica.timeline <= primary.timeline
                && replica.answered <= primary.asked
                && replica.lsn > primary.lsn
        })
    }

    /// Remembers that it was ahead of a primary.
    pub(super) fn note_ahead_of(&mut self, primary: usize, timeline: u32) {
        if !self.ahead_of.contains(&(primary, timeline)) {
            self.ahead_of.push((primary, timeline));
        }
    }

    /// Forgets that it was ahead of a member: that one holds other data now.
    pub(super) fn forget_ahead_of(&mut self, primary: usize) {
        self.ahead_of.retain(|(index, _)| *index != primary);
    }

    /// The last reply, if it answers now or did so long ago at most.
    pub(super) fn heard_within(&self, limit: Duration, now: Instant) -> Option<Reply> {
        self.reply.filter(|_| self.is_missed_for_less(limit, now))
    }

    /// Whether it was heard a moment ago, or first asked then: it may be back soon.
    pub(super) fn is_awaited(&self, now: Instant) -> bool {
        self.is_missed_for_less(AWAITED, now)
    }

    /// Whether it answers, or has not for a shorter time than `limit`.
    fn is_missed_for_less(&self, limit: Duration, now: Instant) -> bool {
        let is_recent = |since: Instant| now.saturating_duration_since(since) < limit;
        self.silent_since.is_none_or(is_recent)
    }

    /// The last reply, if it answers now or did a moment ago.
    pub(super) fn recent(&self, now: Instant) -> Option<Reply> {
        self.heard_within(AWAITED, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::LogLayout;

    /// When a server was started, whether it is a replica, and its timeline.
    type Short = (i64, bool, u32);

    fn reply(started: i64, is_replica: bool, timeline: u32) -> Reply {
        let identity = ServerIdentity {
            system: 7,
            started,
            sees_timelines: true,
            layout: LogLayout::default(),
        };
        let report = ServerReport::for_test(is_replica, timeline, 1, Instant::now());
        // Timeline 0 stands for a replica that receives nothing.
        let is_streaming = is_replica && timeline > 0;
        Reply { identity, report: ServerReport { is_streaming, ..report } }
    }

    #[test]
    fn which_primaries_were_promoted_in_step() {
        // The replies of one member in order, and whether the last is a promotion in step.
        let table: [(&str, &[Short], bool); 7] = [
            ("a primary from the beginning", &[(1, false, 2)], false),
            ("a replica that was promoted", &[(1, true, 1), (1, false, 2)], true),
            ("later replies keep it", &[(1, true, 1), (1, false, 2), (1, false, 2)], true),
            ("another server at the same URL", &[(1, true, 1), (2, false, 2)], false),
            ("a restored backup, paused and resumed", &[(1, true, 0), (1, false, 2)], false),
            ("a lost standby.signal", &[(1, true, 1), (2, false, 1)], false),
            ("a replica again", &[(1, true, 1), (1, false, 2), (2, true, 2)], false),
        ];
        for (story, replies, expected) in table {
            let mut record = MemberRecord::new("ord");
            for (started, is_replica, timeline) in replies {
                record.observe(reply(*started, *is_replica, *timeline));
            }
            assert_eq!(record.was_promoted, expected, "{story}");
        }
    }

    #[test]
    fn the_reply_before_is_kept_while_the_server_runs() {
        let mut record = MemberRecord::new("ord");
        let previous = |record: &MemberRecord| record.previous.map(|it| it.report.timeline);
        record.observe(reply(1, true, 1));
        assert_eq!(previous(&record), None);
        record.observe(reply(1, true, 2));
        assert_eq!(previous(&record), Some(1));
        record.observe(reply(2, true, 2));
        assert_eq!(previous(&record), None, "another server at the same URL");
    }

    #[test]
    fn a_silent_member_is_awaited_for_a_while() {
        let mut record = MemberRecord::new("ord");
        record.observe(reply(1, false, 1));
        let now = Instant::now();
        record.record_silence(now, now);
        record.record_silence(now + AWAITED, now + AWAITED);
        assert!(record.answer().is_none());
        assert!(record.recent(now).is_some());
        assert!(record.recent(now + AWAITED).is_none());
        record.observe(reply(1, false, 1));
        assert!(record.answer().is_some());
    }
}
