//! Each history of the members that an operator has met, and pairs of them: who leads, and who is
//! unfit.
//!
//! The members are `nrt`, which regions.toml declares, then `ord`, `syd` and `ams`. One word tells
//! what each last said:
//!
//! | word | the member |
//! | --- | --- |
//! | `P2` | takes writes on timeline 2 |
//! | `P2*` | the same, and this process has seen its promotion |
//! | `R2` | a replica that streams timeline 2 |
//! | `r2` | a replica on timeline 2 that receives nothing now |
//! | `R2+` | a replica that is ahead of every primary |
//! | `P2o`, `P2s` | says that no standby, or one, streams from it; without a letter it may not see |
//! | `F1`, `f1` | takes writes in another database; a replica of it |
//! | `G1` | takes writes in a third database |
//! | `P1-`, `R1-` | the same, and its login role may not see of which database it is |
//! | `=P1` | the same server as `nrt`: one database plays several regions |
//! | `P1?` | said so a moment ago, and is silent now |
//! | `P1!` | said so long ago, and is silent now |
//! | `x` | refuses to answer, and has never said anything |
//! | `U1` | a replica that streams, and whose login role may not see the timeline |
//! | `-`, `-!` | has never said anything, for a moment or for long |

use std::time::Duration;

use super::super::record::{AWAITED, Reply};
use super::*;
use crate::server::{LogLayout, ServerIdentity, ServerReport};

const REGIONS: [&str; 4] = ["nrt", "ord", "syd", "ams"];

/// The database of the members, and others.
const OURS: u64 = 7;
const OTHER: u64 = 8;
const THIRD: u64 = 9;

/// A moment from which the earlier ones of a test can be told.
fn now() -> Instant {
    Instant::now() + AWAITED * 3
}

fn before(now: Instant, age: Duration) -> Instant {
    now.checked_sub(age).unwrap()
}

fn record(index: usize, word: &str, now: Instant) -> MemberRecord {
    let mut record = MemberRecord::new(REGIONS[index]);
    let (is_same_server, word) = (word.starts_with('='), word.trim_start_matches('='));
    let mut letters = word.chars();
    let role = letters.next().unwrap();
    if role == 'x' {
        record.record_refusal(now);
        return record;
    }
    if role == '-' {
        record.record_silence(now, if word == "-!" { before(now, AWAITED) } else { now });
        return record;
    }
    let timeline = letters.next().and_then(|digit| digit.to_digit(10)).unwrap();
    let (is_replica, marks) = (matches!(role, 'R' | 'r' | 'f' | 'U'), letters.as_str());
    let started = if is_same_server { 0 } else { i64::try_from(index).unwrap() };
    let system = match role {
        _ if marks.contains('-') => 0,
        'F' | 'f' => OTHER,
        'G' => THIRD,
        _ => OURS,
    };
    let identity = ServerIdentity {
        system,
        started,
        sees_timelines: role != 'U',
        layout: LogLayout::default(),
    };
    // Replicas are asked first: a primary that is asked later is ahead of those that follow it.
    let asked = before(now, Duration::from_secs(if is_replica { 2 } else { 1 }));
    let lsn = if marks.contains('+') { 99 } else { 10 };
    let report = ServerReport {
        is_streaming: matches!(role, 'R' | 'f' | 'U'),
        followers: marks
            .chars()
            .find_map(|mark| "os".find(mark))
            .and_then(|count| count.try_into().ok()),
        ..ServerReport::for_test(is_replica, timeline, lsn, asked)
    };
    if marks.contains('*') {
        let (is_replica, is_streaming) = (true, true);
        let timeline = timeline - 1;
        let replica = ServerReport { is_replica, timeline, is_streaming, ..report };
        record.observe(Reply { identity, report: replica });
    }
    record.observe(Reply { identity, report });
    if marks.contains('?') {
        record.record_silence(now, now);
    }
    if marks.contains('!') {
        record.record_silence(now, before(now, AWAITED));
    }
    record
}

fn records(members: &str, now: Instant) -> Vec<MemberRecord> {
    let words = members.split_whitespace().enumerate();
    words.map(|(index, word)| record(index, word, now)).collect()
}

/// What is known before: who leads on which timeline, as `nrt1`, or `ord2?` where that is not
/// proven, and `ord2+` where only its promotion was seen. Empty before the first election.
fn known(leader: &str) -> Known {
    let is_proven = !leader.ends_with('?');
    let is_unfollowed = leader.ends_with('+');
    let leader = leader.trim_end_matches(['?', '+']);
    let leader = (!leader.is_empty()).then(|| {
        let (region, timeline) = leader.split_at(3);
        let index = REGIONS.iter().position(|known| *known == region).unwrap();
        let timeline = timeline.parse().unwrap();
        let proven_on = is_proven.then_some(timeline);
        // `+`: by its promotion alone.
        let followed_on = proven_on.filter(|_| !is_unfollowed);
        Elected { index, timeline, started: i64::try_from(index).unwrap(), proven_on, followed_on }
    });
    Known {
        system: if leader.is_some() { OURS } else { 0 },
        newest: leader.filter(Elected::is_proven).map_or(0, |it| it.timeline),
        leader,
        declared: 0,
        follows_promotions: true,
        safeguards: Safeguards::default(),
    }
}

/// The winner as `ord2`, or why there is none.
fn winner(outcome: &Outcome) -> String {
    match &outcome.leader {
        Ok(elected) => format!("{}{}", REGIONS[elected.index], elected.timeline),
        Err(NoPrimary::NoneWritable) => "none".to_owned(),
        Err(NoPrimary::Contested { regions, .. }) => format!("contested {}", regions.join(" ")),
        Err(NoPrimary::Unproven { region, .. }) => format!("unproven {region}"),
        Err(NoPrimary::Unseen { regions }) => format!("unseen {}", regions.join(" ")),
        Err(NoPrimary::Superseded { region, .. }) => format!("superseded {region}"),
        Err(NoPrimary::LeftBehind { region, .. }) => format!("behind {region}"),
    }
}

/// The unfit members and why: `ord second`.
fn unfit_members(outcome: &Outcome) -> String {
    let reason = |reason: &DownReason| match reason {
        DownReason::ForeignDatabase => "foreign",
        DownReason::Superseded { .. } => "superseded",
        DownReason::SecondPrimary { .. } => "second",
        DownReason::NotFollowed { .. } => "unfollowed",
        DownReason::NotDeclared { .. } => "undeclared",
        DownReason::Unproven { .. } => "unproven",
        DownReason::Contested { .. } => "contested",
        DownReason::AheadOfPrimary { .. } => "ahead",
        DownReason::UnclearUpstream { .. } => "unclear",
        _ => "?",
    };
    let reasons = REGIONS.iter().zip(&outcome.unfit);
    let reasons = reasons.filter_map(|(region, why)| Some((region, reason(why.as_ref()?))));
    reasons.map(|(region, reason)| format!("{region} {reason}")).collect::<Vec<_>>().join(", ")
}

#[track_caller]
/// The next election, which has the same replies and knows what this one has found, finds the same.
fn check(table: &[(&str, &str, &str, &str, &str)]) {
    for (story, leader, members, expected, unfit) in table {
        let now = now();
        let (records, known) = (records(members, now), known(leader));
        let outcome = elect(&records, &known, now);
        assert_eq!(winner(&outcome), *expected, "{story}: {members} after {leader:?}");
        assert_eq!(unfit_members(&outcome), *unfit, "{story}: {members} after {leader:?}");
        let known = known.in_database(outcome.system);
        let leader_now = outcome.leader.clone().ok().or(known.leader);
        let known = Known { leader: leader_now, newest: outcome.newest, ..known };
        let next = elect(&records, &known, now);
        assert_eq!(winner(&next), *expected, "{story}: {members} after {leader:?}, and again");
        assert_eq!(unfit_members(&next), *unfit, "{story}: {members} after {leader:?}, and again");
    }
}

#[test]
fn in_quiet_times_and_in_a_failover() {
    check(&[
        ("nothing has replied", "", "- - - -", "none", ""),
        ("the first election", "", "P1 R1 R1 R1", "nrt1", ""),
        ("only replicas", "", "- r1 r1 r1", "none", ""),
        ("all is well", "nrt1", "P1 R1 R1 R1", "nrt1", ""),
        ("one database for all regions", "", "P1 =P1 =P1 =P1", "nrt1", ""),
        ("it leads already", "nrt1", "P1 =P1 =P1 =P1", "nrt1", ""),
        ("the primary alone", "", "P1 - - -", "nrt1", ""),
        ("the primary is silent, awaited", "nrt1", "P1? R1 r1 r1", "nrt1", ""),
        ("the primary is silent for long", "nrt1", "P1! r1 r1 r1", "none", ""),
        ("it became a replica", "nrt1", "r1 r1 r1 r1", "none", ""),
        ("it became a replica, and is behind", "nrt1", "r1 r1+ r1+ r1+", "none", ""),
        ("a promotion that was seen", "nrt1", "P1? P2* r1 r1", "ord2", ""),
        ("the same, and replicas follow", "nrt1", "P1? P2* R2 R2", "ord2", ""),
        ("another process starts then", "", "- P2 r1 r1", "ord2", ""),
        ("and when the replicas follow", "", "- P2 R2 R2", "ord2", ""),
        ("a switchover", "nrt1", "R2 P2* R2 R2", "ord2", ""),
        ("a process that starts after it", "", "R2 P2 R2 R2", "ord2", ""),
        ("two promotions later", "ord2", "r1 P2? P3* R3", "syd3", ""),
        ("the new primary restarts", "ord2", "R2 P2? R2 R2", "ord2", ""),
        ("a promotion in place", "nrt1", "P2 R2 R2 R2", "nrt2", ""),
        ("the same, beside a copy", "nrt1", "P2 P3 r1 r1", "nrt2", "ord unfollowed"),
        ("beside an old primary", "ord2", "P1 P3 R1 r2", "ord3", "nrt superseded"),
    ]);
}

#[test]
fn an_old_primary_that_runs_on() {
    check(&[
        ("seen promoted; none follows yet", "nrt1", "P1 P2* R1 R1", "ord2", "nrt superseded"),
        ("one follows, one does not", "nrt1", "P1 P2 R2 R1", "ord2", "nrt superseded"),
        ("a process that starts then", "", "P1 P2 R2 R1", "ord2", "nrt superseded"),
        ("it comes back", "ord2", "P1 P2 R2 R2", "ord2", "nrt superseded"),
        ("it comes back with its replica", "ord2", "P1 P2 R1 r1", "ord2", "nrt superseded"),
        ("the new one is silent, awaited", "ord2", "P1 P2? R2 R2", "ord2", "nrt superseded"),
        (
            "the new one is silent for long",
            "ord2",
            "P1 P2! R1 R1",
            "superseded nrt",
            "nrt superseded",
        ),
        (
            "a replica shows the new timeline",
            "nrt1",
            "P1 - R2 R1",
            "superseded nrt",
            "nrt superseded",
        ),
    ]);
}

#[test]
fn a_second_primary_on_one_timeline() {
    check(&[
        ("a lost standby.signal", "nrt1", "P1 P1 R1 R1", "nrt1", "ord second"),
        ("a process that starts then", "", "P1 P1 R1 R1", "nrt1", "ord second"),
        ("without other replicas", "", "P1 P1 - -", "nrt1", "ord second"),
        ("while the primary restarts", "nrt1", "P1? P1 r1 r1", "nrt1", "ord second"),
        ("while the primary is away", "nrt1", "P1! P1 r1 r1", "unproven ord", "ord unproven"),
        ("a start without the primary", "", "- P1 r1 r1", "unproven ord", "ord unproven"),
        ("on a later timeline", "", "- P2 r2 r2", "unproven ord", "ord unproven"),
        ("after a promotion", "ord2", "R2 P2 P2 R2", "ord2", "syd second"),
        ("of the declared one", "ord2", "P2 P2 R2 R2", "ord2", "nrt second"),
        ("adopted without proof, then nrt is back", "ord2?", "P2 P2 - -", "nrt2", "ord second"),
    ]);
}

#[test]
fn a_primary_knows_who_streams_from_it() {
    check(&[
        ("a start beside a twin", "", "P2o P2s R2 R2", "ord2", "nrt second"),
        (
            "both are followed",
            "",
            "P2s P2s R2 R2",
            "contested nrt ord",
            "nrt contested, ord contested",
        ),
        ("on timeline 1", "", "P1s P1s R1 R1", "nrt1", "ord second, syd unclear, ams unclear"),
        ("neither is", "", "P2o P2o r2 -", "contested nrt ord", "nrt contested, ord contested"),
        ("on timeline 1, neither", "", "P1o P1o r1 -", "nrt1", "ord second"),
        ("the leader alone restarts", "ord2", "R2 P2o R2 R2", "ord2", ""),
        ("one server in two regions", "", "P2s =P2s R2 R2", "nrt2", ""),
        ("a twin of a silent leader", "ord2", "P2o P2! R2 r2", "unproven nrt", "nrt unproven"),
        (
            "with its own replica",
            "ord2",
            "P2s P2! R2 r2",
            "unproven nrt",
            "nrt unproven, syd unclear, ams unclear",
        ),
        (
            "the same, and a copy",
            "ord2",
            "P2s P2! R2 P4o",
            "unproven nrt",
            "nrt unproven, syd unclear, ams unproven",
        ),
        (
            "a twin with all replicas, and further",
            "nrt1",
            "P1o P1s R1+ R1+",
            "nrt1",
            "ord second, syd ahead, ams ahead",
        ),
        (
            "beside the leader",
            "ord2",
            "P2s P2s R2 r2",
            "ord2",
            "nrt second, syd unclear, ams unclear",
        ),
        (
            "all replicas are its own",
            "nrt1",
            "P1o P1s R1 R1",
            "nrt1",
            "ord second, syd unclear, ams unclear",
        ),
        ("a start beside that", "", "P1o P1s R1 R1", "behind nrt", "nrt unproven, ord unproven"),
        ("the leader was rebuilt from it", "ord2", "P2s R2 R2 R2", "nrt2", ""),
        ("the leader was never followed", "ord2+", "P2s P2o R2 R2", "nrt2", "ord second"),
    ]);
}

#[test]
fn a_primary_that_is_not_followed_and_left_behind() {
    check(&[
        ("a start beside a superseded one", "", "P1o - r1+ r1+", "behind nrt", "nrt unproven"),
        ("a replica knows a newer timeline", "", "P1o - r2 r1", "behind nrt", "nrt unproven"),
        ("a replica streams another one", "", "P2o - R2 r2", "behind nrt", "nrt unproven"),
        ("a cascade below an idle replica", "", "P1o r1s R1o -", "nrt1", ""),
        ("no replica streams yet", "", "P1o r1 r1 r1", "nrt1", ""),
        ("others were made anew", "", "P1s - R1 r1+", "nrt1", "ams ahead"),
        (
            "put back, but known",
            "nrt1",
            "P1o r1+ r1+ r1+",
            "nrt1",
            "ord ahead, syd ahead, ams ahead",
        ),
        ("put back, a start", "", "P1o r1+ r1+ r1+", "nrt1", "ord ahead, syd ahead, ams ahead"),
        ("a relay streams, which is no member", "", "P1o R1 R1 R1", "nrt1", ""),
        ("promoted, none follows yet", "", "- P2o r1 r1", "ord2", ""),
    ]);
}

#[test]
fn a_copy_on_a_newer_timeline() {
    check(&[
        ("beside a primary that is followed", "nrt1", "P1 P2 R1 R1", "nrt1", "ord unfollowed"),
        ("a process that starts then", "", "P1 P2 R1 R1", "nrt1", "ord unfollowed"),
        ("while the primary restarts", "nrt1", "P1? P2 r1 r1", "nrt1", "ord unfollowed"),
        ("the primary is gone for good", "nrt1", "P1! P2 r1 r1", "ord2", ""),
        ("it was adopted, and nrt is back", "ord2?", "P1 P2 R1 R1", "nrt1", "ord unfollowed"),
        ("adopted, and followed since", "ord2?", "P1 P2 R2 R1", "ord2", "nrt superseded"),
        ("it was adopted, and goes", "ord2?", "P1 P2! R1 R1", "nrt1", ""),
        ("of a primary without replicas", "", "P1 P2 - -", "ord2", "nrt superseded"),
        ("two copies", "nrt1", "P1 P2 P3 R1", "nrt1", "ord unfollowed, syd unfollowed"),
    ]);
}

#[test]
fn a_declared_primary_that_refuses_may_be_the_one_that_is_followed() {
    check(&[
        ("a second primary at the start", "", "x P1 R1 R1", "unproven ord", "ord unproven"),
        ("while the declared one is silent", "", "- P1 R1 R1", "unproven ord", "ord unproven"),
        ("on a later timeline", "", "x P2 R2 R2", "unproven ord", "ord unproven"),
        ("a copy at the start", "", "x P2 r1 r1", "unproven ord", "ord unproven"),
        ("a promotion that was seen", "nrt1", "x P2* R2 R2", "ord2", ""),
        ("a leader that is known", "ord2", "x P2 R2 R2", "ord2", ""),
        ("it answers again", "", "P1 P1 R1 R1", "nrt1", "ord second"),
    ]);
}

#[test]
fn what_a_role_may_not_see_is_no_evidence() {
    check(&[
        ("a copy at the start", "", "P1 P2 U1 U1", "unseen ord nrt", "nrt unproven, ord unproven"),
        ("a copy later", "nrt1", "P1 P2 U1 U1", "nrt1", "ord unfollowed"),
        ("a promotion that was seen", "nrt1", "P1 P2* U1 U1", "ord2", "nrt superseded"),
        ("the old primary is gone", "", "- P2 U1 U1", "ord2", ""),
        ("all is well", "", "P1 U1 U1 U1", "nrt1", ""),
    ]);
}

#[test]
fn two_promoted_apart() {
    check(&[
        ("the second after the first", "ord2", "P1? P2* P2* r1", "ord2", "syd second"),
        (
            "both are unfollowed",
            "ord2+",
            "P1? P2*o P2*o r1",
            "contested ord syd",
            "ord contested, syd contested",
        ),
        ("one is followed", "ord2+", "P1? P2*o P2*s R2", "syd2", "ord second"),
        ("the leader is", "ord2+", "P1? P2*s P2*o R2", "ord2", "syd second"),
        (
            "both are followed",
            "ord2",
            "P1? P2*s P2*s R2",
            "contested ord syd",
            "ord contested, syd contested, ams unclear",
        ),
        ("the other was not seen", "ord2+", "P1? P2*o P2o r1", "ord2", "syd second"),
        (
            "both before the next question",
            "nrt1",
            "P1? P2* P2* r1",
            "contested ord syd",
            "ord contested, syd contested",
        ),
        (
            "a process that starts then",
            "",
            "- P2 P2 r1",
            "contested ord syd",
            "ord contested, syd contested",
        ),
        (
            "the old one runs on",
            "nrt1",
            "P1 P2* P2* R1",
            "contested ord syd",
            "nrt superseded, ord contested, syd contested",
        ),
        ("one of them was promoted again", "ord2", "- P2 P3* R3", "syd3", "ord superseded"),
    ]);
}

#[test]
fn another_database_behind_the_same_urls() {
    check(&[
        ("a foreign member", "nrt1", "P1 F1 R1 R1", "nrt1", "ord foreign"),
        ("a foreign member at the start", "", "P1 F1 R1 R1", "nrt1", "ord foreign"),
        ("the declared one is foreign", "", "F1 P1 R1 R1", "ord1", "nrt foreign"),
        ("a tie at the start", "", "P1 F1 - -", "nrt1", "ord foreign"),
        ("a followed primary in its place", "", "P1s R1 F1 G1", "nrt1", "syd foreign, ams foreign"),
        ("more foreign members", "", "P1s F1 R1 F1", "nrt1", "ord foreign, ams foreign"),
        (
            "one foreign server in many regions",
            "",
            "=F1 R1 =F1 P1",
            "ams1",
            "nrt foreign, syd foreign",
        ),
        ("all were replaced", "nrt1", "F1 f1 f1 f1", "nrt1", ""),
        ("the primary was, others are down", "nrt1", "F1 R1! R1! R1!", "nrt1", ""),
        ("one old replica is left", "nrt1", "F1 f1 r1 f1", "nrt1", "syd foreign"),
        ("an empty database in the primary's place", "nrt1", "F1 r1 r1 r1", "none", "nrt foreign"),
        ("a false start is revised", "nrt1?", "P1 F1 R1 R1", "nrt1", "ord foreign"),
        (
            "a replica that still receives",
            "nrt1",
            "F1 f1 R1 f1",
            "none",
            "nrt foreign, ord foreign, ams foreign",
        ),
        ("the others are silent for a moment", "nrt1", "P1? F1 R1? R1?", "nrt1", "ord foreign"),
        ("the same, in the leader's place", "ord3", "R3? F1 R3? R3?", "none", "ord foreign"),
        (
            "only replicas of the new one",
            "nrt1",
            "- f1 f1 f1",
            "none",
            "ord foreign, syd foreign, ams foreign",
        ),
        ("replaced after a promotion", "ord3", "F1 f1 f1 f1", "nrt1", ""),
        ("the same, and the declared one is gone", "ord3", "- F1 f1 f1", "ord1", ""),
        ("by two others at once", "nrt1", "F1 f1 G1 r1", "nrt1", "syd foreign, ams foreign"),
    ]);
}

#[test]
fn a_primary_put_back_to_an_older_copy() {
    check(&[
        (
            "to an older timeline, and another is followed",
            "ams3",
            "P2 R2 - P1",
            "superseded nrt",
            "nrt superseded, ams superseded",
        ),
        ("the same, and all answer", "ams3", "P2 R2 R2 P1", "nrt2", "ams superseded"),
        ("one replica is ahead", "nrt1", "P1 R1+ R1 R1", "nrt1", "ord ahead"),
        ("all are", "nrt1", "P1 r1+ r1+ r1+", "nrt1", "ord ahead, syd ahead, ams ahead"),
        ("all restored to an older timeline", "nrt3", "P2 R2 R2 R2", "nrt2", ""),
        ("restored to a newer one", "nrt1", "P3 r1 r1 r1", "nrt3", ""),
        (
            "beside a twin; no replica has spoken since",
            "nrt1",
            "P3 P1 R1 R1",
            "nrt3",
            "ord superseded",
        ),
        (
            "a replica still knows the newer one",
            "nrt3",
            "P2 R2 r3 R2",
            "superseded nrt",
            "nrt superseded",
        ),
        ("a silent one may know it", "nrt3", "P2 R2 R3! R2", "superseded nrt", "nrt superseded"),
        (
            "a promotion left it behind, with what the new primary never had",
            "nrt1",
            "P1 P2* R1+ R2",
            "ord2",
            "nrt superseded, syd ahead",
        ),
    ]);
}

#[test]
fn pairs_of_these() {
    check(&[
        (
            "a second primary and a copy",
            "nrt1",
            "P1 P1 P2 R1",
            "nrt1",
            "ord second, syd unfollowed",
        ),
        (
            "the same while nrt restarts",
            "nrt1",
            "P1? P1 P2 r1",
            "nrt1",
            "ord second, syd unfollowed",
        ),
        (
            "a second primary and a foreign one",
            "nrt1",
            "P1 P1 F1 R1",
            "nrt1",
            "ord second, syd foreign",
        ),
        ("a copy and a foreign one", "nrt1", "P1 P2 F1 R1", "nrt1", "ord unfollowed, syd foreign"),
        (
            "a second primary, a replica ahead",
            "nrt1",
            "P1 P1 R1+ R1",
            "nrt1",
            "ord second, syd ahead",
        ),
        (
            "a copy, and a replica ahead",
            "nrt1",
            "P1 P2 R1+ R1",
            "nrt1",
            "ord unfollowed, syd ahead",
        ),
        (
            "a promotion, and a foreign one",
            "nrt1",
            "P1 P2* F1 R1",
            "ord2",
            "nrt superseded, syd foreign",
        ),
        (
            "a promotion, and a second primary",
            "nrt1",
            "P1 P2* P1 R1",
            "ord2",
            "nrt superseded, syd superseded",
        ),
        ("a promotion, and a newer copy", "nrt1", "P1? P2* P3 r1", "ord2", "syd unfollowed"),
        (
            "two promotions, and a copy",
            "ord2",
            "r1 P2 P3* P4",
            "syd3",
            "ord superseded, ams unfollowed",
        ),
        (
            "promoted apart, one foreign",
            "nrt1",
            "F1 P2* P2* r1",
            "contested ord syd",
            "nrt foreign, ord contested, syd contested",
        ),
        ("replaced, and a second primary", "nrt1", "F1 F1 f1 f1", "nrt1", "ord second"),
        (
            "put back, and a second primary",
            "nrt1",
            "P1 P1 r1+ r1+",
            "nrt1",
            "ord second, syd ahead, ams ahead",
        ),
        (
            "put back, and a promotion",
            "nrt1",
            "P1 P2* r1+ r1+",
            "ord2",
            "nrt superseded, syd ahead, ams ahead",
        ),
    ]);
}

#[test]
fn promotions_are_followed_only_where_that_is_wanted() {
    let now = now();
    let known = Known { follows_promotions: false, ..known("nrt1") };
    let outcome = |members: &str| elect(&records(members, now), &known, now);
    assert_eq!(winner(&outcome("P1 P2* R2 R2")), "nrt1");
    assert_eq!(unfit_members(&outcome("P1 P2* R2 R2")), "ord undeclared");
    assert_eq!(winner(&outcome("P1! P2* R2 R2")), "none");
    assert_eq!(winner(&outcome("r1 P2* R2 R2")), "none");
}

#[test]
fn a_new_database_forgets_the_old_timelines() {
    let now = now();
    let outcome = elect(&records("F1 f1 f1 f1", now), &known("ord3"), now);
    assert_eq!((outcome.system, outcome.newest), (OTHER, 1));
}

/// The right is given or taken while connections are opened.
#[test]
fn a_server_that_does_not_tell_its_database_is_of_the_others() {
    let now = now();
    let untold = |leader: &str| Known { system: 0, ..known(leader) };
    for (members, known) in [
        ("P1- R1 R1- R1-", untold("")),
        ("P1 R1- R1- R1-", untold("")),
        ("P1- R1- R1 R1-", untold("nrt1")),
        ("P1 R1- R1- R1-", untold("nrt1")),
        ("P1- R1- R1- R1-", known("nrt1")),
    ] {
        let outcome = elect(&records(members, now), &known, now);
        assert_eq!((outcome.system, &*winner(&outcome)), (OURS, "nrt1"), "{members}");
        assert_eq!(unfit_members(&outcome), "", "{members}");
    }
    let outcome = elect(&records("P1- R1- R1- R1-", now), &untold("nrt1"), now);
    assert_eq!((outcome.system, &*winner(&outcome)), (0, "nrt1"));
    assert_eq!(unfit_members(&outcome), "");
}

#[test]
fn when_a_newer_position_is_of_another_history() {
    let table = [
        ("all answer", "nrt1", "P1 R1 R1 R1", true),
        ("a silent member may know it", "nrt1", "P1 R1 R1? R1", false),
        ("one that is gone for long does not", "nrt1", "P1 R1 R1! R1", true),
        ("one that was not heard yet may know it", "nrt1", "P1 R1 - R1", false),
        ("one that was never heard does not", "nrt1", "P1 R1 -! R1", true),
        ("the leader is not followed", "nrt1", "P1 r1 -! r1", false),
        ("the leader does not answer", "nrt1", "P1? R1 R1 R1", false),
        ("no member leads", "nrt1", "r1 r1 r1 r1", false),
        ("one database for all regions", "", "P1 =P1 =P1 =P1", true),
    ];
    for (story, leader, members, expected) in table {
        let now = now();
        let records = records(members, now);
        let outcome = elect(&records, &known(leader), now);
        assert_eq!(excludes_newer(&records, &outcome, now), expected, "{story}");
    }
}
