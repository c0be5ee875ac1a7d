//! The figures of a fault: what visitors noticed.

use std::time::Duration;

use tokio::time::Instant;

use super::visitors::{Answer, Kind};

/// The moments of a fault.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// When the fault began.
    pub began: Instant,
    /// When its repair began.
    pub repaired: Instant,
    /// When another server accepted writes.
    pub new_primary: Option<Instant>,
}

/// The figures of all requests that ended after the fault began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// The number of reads, also of visitors who had written.
    pub reads: usize,
    /// How many reads got no page.
    pub failed_reads: usize,
    /// The longest read by a visitor who had written nothing, from when it was due.
    pub longest_read: Duration,
    /// The longest read by a visitor who had just written.
    pub longest_own_read: Duration,
    /// The first other region that served a visitor who had written nothing, and how long after the
    /// fault began.
    pub next: Option<(String, Duration)>,
    /// How long after the repair began the region's own replica served again; `None` if it never
    /// stopped.
    pub home_again: Option<Duration>,
    /// The number of writes.
    pub writes: usize,
    /// How many writes were not acknowledged.
    pub failed_writes: usize,
    /// The longest time without an acknowledged write.
    pub without_writes: Duration,
    /// How long after the fault began another server accepted writes.
    pub new_primary: Option<Duration>,
}

impl Figures {
    /// The figures of an instance in the region `home`.
    #[must_use]
    pub fn new(moments: &Moments, answers: &[Answer], home: &str) -> Self {
        let Moments { began, repaired, new_primary } = *moments;
        let mut answers: Vec<_> = answers.iter().collect();
        answers.sort_by_key(|answer| answer.end);
        let after = |is: fn(Kind) -> bool| {
            let after = answers.iter().filter(move |answer| is(answer.kind) && answer.end >= began);
            after.copied().collect::<Vec<_>>()
        };
        let failed =
            |answers: &[&Answer]| answers.iter().filter(|answer| answer.problem.is_some()).count();
        let (reads, writes) =
            (after(|kind| kind != Kind::Write), after(|kind| kind == Kind::Write));
        // A visitor who has written may be served elsewhere even without a fault.
        let plain = after(|kind| kind == Kind::Read);
        let is_home =
            |answer: &Answer| answer.problem.is_none() && answer.region.as_deref() == Some(home);
        let next = plain.iter().find_map(|answer| {
            Some((answer.region.as_ref().filter(|region| *region != home)?, answer.end - began))
        });
        let was_away = plain
            .iter()
            .take_while(|answer| answer.end < repaired)
            .last()
            .is_some_and(|answer| !is_home(answer));
        let back =
            plain.iter().find(|answer| was_away && answer.due >= repaired && is_home(answer));
        let longest = |kind| {
            reads
                .iter()
                .filter(|answer| answer.kind == kind)
                .map(|answer| answer.end - answer.due)
                .max()
                .unwrap_or_default()
        };
        let acknowledged =
            answers.iter().filter(|answer| answer.kind == Kind::Write && answer.problem.is_none());
        let acknowledged: Vec<_> = acknowledged.map(|answer| answer.end).collect();
        let ends = acknowledged.iter().copied().chain(writes.last().map(|answer| answer.end));
        let gaps = acknowledged.iter().zip(ends.skip(1)).filter(|(_, end)| *end > began);
        Self {
            reads: reads.len(),
            failed_reads: failed(&reads),
            longest_read: longest(Kind::Read),
            longest_own_read: longest(Kind::OwnRead),
            next: next.map(|(region, after)| (region.clone(), after)),
            home_again: back.map(|answer| answer.end - repaired),
            writes: writes.len(),
            failed_writes: failed(&writes),
            without_writes: gaps.map(|(start, end)| end - *start).max().unwrap_or_default(),
            new_primary: new_primary.map(|moment| moment - began),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_end_after_the_fault_began_count() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let answer = |kind, due, end, region: &str, problem: Option<&str>| Answer {
            kind,
            due: at(due),
            end: at(end),
            region: Some(region.to_owned()).filter(|region| !region.is_empty()),
            problem: problem.map(str::to_owned),
        };
        let answers = [
            answer(Kind::Read, 0, 10, "ord", None),
            answer(Kind::Write, 20, 170, "nrt", None),
            answer(Kind::OwnRead, 170, 900, "nrt", None),
            answer(Kind::Read, 990, 1500, "atl", None),
            answer(Kind::Read, 1100, 1120, "atl", None),
            answer(Kind::Read, 1200, 1201, "", Some("503 Service Unavailable")),
            answer(Kind::Write, 1200, 1300, "", Some("503 Service Unavailable")),
            answer(Kind::Write, 3000, 3150, "ams", None),
            answer(Kind::OwnRead, 3150, 3300, "ams", None),
            answer(Kind::Read, 5010, 5040, "atl", None),
            answer(Kind::Read, 5100, 5105, "ord", None),
        ];
        let moments = Moments { began: at(1000), repaired: at(5000), new_primary: Some(at(2000)) };
        let figures = Figures::new(&moments, &answers, "ord");
        let expected = Figures {
            reads: 6,
            failed_reads: 1,
            longest_read: Duration::from_millis(510),
            longest_own_read: Duration::from_millis(150),
            next: Some(("atl".to_owned(), Duration::from_millis(120))),
            home_again: Some(Duration::from_millis(105)),
            writes: 2,
            failed_writes: 1,
            without_writes: Duration::from_millis(3150 - 170),
            new_primary: Some(Duration::from_secs(1)),
        };
        assert_eq!(figures, expected);
    }

    #[test]
    fn a_region_that_never_stopped_did_not_return() {
        let start = Instant::now();
        let read = |due: u64| {
            let due = start + Duration::from_millis(due);
            Answer {
                kind: Kind::Read,
                due,
                end: due,
                region: Some("ord".to_owned()),
                problem: None,
            }
        };
        let moments =
            Moments { began: start, repaired: start + Duration::from_secs(1), new_primary: None };
        let figures = Figures::new(&moments, &[read(10), read(1010)], "ord");
        assert_eq!((figures.next, figures.home_again), (None, None));
    }
}
