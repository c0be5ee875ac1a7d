//! What visitors noticed, in figures.

use std::time::Duration;

use tokio::time::Instant;

use super::load::{Answer, Kind};

/// When what happened.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// Something began to break it.
    pub began: Instant,
    /// Something began to mend it.
    pub healed: Instant,
    /// Another server took writes.
    pub new_primary: Option<Instant>,
}

/// Of all requests that were under way when the fault began, or came later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Reads, those of what their visitor wrote among them.
    pub reads: usize,
    /// Those that got no page.
    pub failed_reads: usize,
    /// The longest read of somebody who wrote nothing, from the moment when it was due to its last byte.
    pub longest_read: Duration,
    /// The longest read of somebody who had just written.
    pub longest_own_read: Duration,
    /// The next region that served somebody who wrote nothing, and how long after the fault began.
    pub next: Option<(String, Duration)>,
    /// How long after the mending began the region's own replica served again; none where it never stopped.
    pub home_again: Option<Duration>,
    /// Writes.
    pub writes: usize,
    /// Those that were not acknowledged.
    pub failed_writes: usize,
    /// The longest time without an acknowledged write.
    pub without_writes: Duration,
    /// How long after the fault began another server took writes.
    pub new_primary: Option<Duration>,
}

impl Figures {
    /// Of these answers, of an instance in the region `home`.
    #[must_use]
    pub fn new(moments: &Moments, answers: &[Answer], home: &str) -> Self {
        let Moments { began, healed, new_primary } = *moments;
        let mut answers: Vec<_> = answers.iter().collect();
        answers.sort_by_key(|answer| answer.end);
        let after = |is: fn(Kind) -> bool| {
            let after = answers.iter().filter(move |answer| is(answer.kind) && answer.end >= began);
            after.copied().collect::<Vec<_>>()
        };
        let failed =
            |answers: &[&Answer]| answers.iter().filter(|answer| answer.trouble.is_some()).count();
        let (reads, writes) =
            (after(|kind| kind != Kind::Write), after(|kind| kind == Kind::Write));
        // Who wrote something may have to be served elsewhere at the best of times.
        let plain = after(|kind| kind == Kind::Read);
        let is_home =
            |answer: &Answer| answer.trouble.is_none() && answer.region.as_deref() == Some(home);
        let next = plain.iter().find_map(|answer| {
            Some((answer.region.as_ref().filter(|region| *region != home)?, answer.end - began))
        });
        let was_away = plain
            .iter()
            .take_while(|answer| answer.end < healed)
            .last()
            .is_some_and(|answer| !is_home(answer));
        let back = plain.iter().find(|answer| was_away && answer.due >= healed && is_home(answer));
        let longest = |kind| {
            reads
                .iter()
                .filter(|answer| answer.kind == kind)
                .map(|answer| answer.end - answer.due)
                .max()
                .unwrap_or_default()
        };
        let acknowledged =
            answers.iter().filter(|answer| answer.kind == Kind::Write && answer.trouble.is_none());
        let acknowledged: Vec<_> = acknowledged.map(|answer| answer.end).collect();
        let ends = acknowledged.iter().copied().chain(writes.last().map(|answer| answer.end));
        let gaps = acknowledged.iter().zip(ends.skip(1)).filter(|(_, end)| *end > began);
        Self {
            reads: reads.len(),
            failed_reads: failed(&reads),
            longest_read: longest(Kind::Read),
            longest_own_read: longest(Kind::OwnRead),
            next: next.map(|(region, after)| (region.clone(), after)),
            home_again: back.map(|answer| answer.end - healed),
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
    fn what_was_under_way_or_came_later_counts() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let answer = |kind, due, end, region: &str, trouble: Option<&str>| Answer {
            kind,
            due: at(due),
            end: at(end),
            region: Some(region.to_owned()).filter(|region| !region.is_empty()),
            trouble: trouble.map(str::to_owned),
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
        let moments = Moments { began: at(1000), healed: at(5000), new_primary: Some(at(2000)) };
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
    fn a_region_that_never_stopped_serving_is_not_back() {
        let start = Instant::now();
        let read = |due: u64| {
            let due = start + Duration::from_millis(due);
            Answer {
                kind: Kind::Read,
                due,
                end: due,
                region: Some("ord".to_owned()),
                trouble: None,
            }
        };
        let moments =
            Moments { began: start, healed: start + Duration::from_secs(1), new_primary: None };
        let figures = Figures::new(&moments, &[read(10), read(1010)], "ord");
        assert_eq!((figures.next, figures.home_again), (None, None));
    }
}
