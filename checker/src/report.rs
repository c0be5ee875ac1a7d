//! What many rounds showed, in figures.

mod figures;

use std::collections::{BTreeMap, BTreeSet};

use archipelago_app::plain_table::{plain_table, trimmed};
use serde::{Serialize, Serializer};

use crate::check::Promise;
use crate::history::operation::{Action, Outcome};
use crate::nemesis::fault::Kind;
use crate::run::Round;
use figures::{Availability, Recovery, span};

/// The sum of all rounds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// How many.
    pub rounds: u32,
    /// Those that say nothing, as the lab could not do what was planned.
    pub void: u32,
    /// In seconds, all visits together from the first request to the last.
    pub seconds: f64,
    /// Requests by what they asked for.
    pub operations: BTreeMap<&'static str, u32>,
    /// Faults by their kind, with what visitors felt of them; `None` is the time without any.
    #[serde(serialize_with = "by_name")]
    pub faults: BTreeMap<Option<Kind>, Felt>,
    /// How often the machine stood still: of what happened meanwhile no promise in seconds is checked.
    pub stalls: usize,
    /// Answers that said that they may be older than `max_lag`.
    pub marked_stale: u32,
    /// Acknowledged writes which had not reached the new primary at a promotion.
    pub lost_at_promotions: usize,
    /// Promises that were not kept.
    pub violations: BTreeMap<Promise, u32>,
    /// The seeds of rounds with violations.
    pub failing_seeds: Vec<u64>,
}

/// What visitors felt of one kind of fault.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Felt {
    /// How often it was.
    pub times: u32,
    /// Reads while it lasted, but for forms.
    pub reads: Availability,
    /// Forms while it lasted: reads that want no old answer, and get none once the primary has been away for `max_lag`.
    pub forms: Availability,
    /// Writes while it lasted; a good one was acknowledged.
    pub writes: Availability,
    /// Until all regions read again, but for forms.
    pub reads_again: Recovery,
    /// Until all regions wrote again.
    pub writes_again: Recovery,
}

impl Report {
    /// Adds a round.
    pub fn add(&mut self, seed: u64, round: &Round) {
        let history = &round.history;
        self.rounds += 1;
        self.seconds +=
            history.operations.iter().map(|it| it.end).max().unwrap_or_default().as_secs_f64();
        self.stalls += history.stalls.len();
        self.lost_at_promotions += round.verdict.lost_at_promotions.len();
        for violation in &round.verdict.violations {
            *self.violations.entry(violation.promise).or_default() += 1;
        }
        self.failing_seeds.extend((!round.verdict.violations.is_empty()).then_some(seed));
        for operation in &history.operations {
            *self.operations.entry(name(operation.action)).or_default() += 1;
            self.marked_stale += u32::from(operation.stale().is_some());
            let felt = history
                .faults
                .iter()
                .filter(|fault| fault.overlaps(operation.start, operation.end));
            let mut kinds: BTreeSet<_> = felt.map(|fault| Some(fault.fault.kind())).collect();
            if kinds.is_empty() {
                kinds.insert(None);
            }
            for kind in kinds {
                let felt = self.faults.entry(kind).or_default();
                let availability = match operation.action {
                    Action::Create(_) | Action::Update(..) => &mut felt.writes,
                    Action::Read(_) | Action::List => &mut felt.reads,
                    Action::Edit(_) => &mut felt.forms,
                };
                availability.add(
                    operation.outcome == Outcome::Done,
                    operation.end.saturating_sub(operation.start),
                );
            }
        }
        for fault in &history.faults {
            let felt = self.faults.entry(Some(fault.fault.kind())).or_default();
            felt.times += 1;
            felt.reads_again.add(history, fault, Action::may_be_old);
            felt.writes_again.add(history, fault, Action::is_write);
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let operations = self.operations.values().sum::<u32>();
        let by_kind: Vec<_> =
            self.operations.iter().map(|(name, number)| format!("{number} {name}")).collect();
        let violations: Vec<_> = self
            .violations
            .iter()
            .map(|(promise, number)| format!("{number} × {promise}"))
            .collect();
        let violations = if violations.is_empty() { "0".to_owned() } else { violations.join(", ") };
        format!(
            "{}\noperations          {operations}: {} ({} rounds, {:.0} s)\nvoid rounds         {}\nstalls              {}\n\
             marked as stale     {}\n\
             lost at promotions  {}: acknowledged, and not yet received by the new primary\nviolations          {violations}\n",
            self.table(),
            by_kind.join(", "),
            self.rounds,
            self.seconds,
            self.void,
            self.stalls,
            self.marked_stale,
            self.lost_at_promotions,
        )
    }

    fn table(&self) -> String {
        let header = [
            "FAULT",
            "TIMES",
            "READS",
            "GOOD",
            "LONGEST",
            "AGAIN AFTER",
            "AT MOST",
            "FORMS",
            "GOOD",
            "WRITES",
            "GOOD",
            "AGAIN AFTER",
            "AT MOST",
        ];
        let mut table = plain_table(header, 1);
        for (kind, felt) in &self.faults {
            let times = kind.map_or(String::new(), |_| felt.times.to_string());
            let reads = [felt.reads.of.to_string(), felt.reads.share(), span(felt.reads.longest)];
            let forms = [felt.forms.of.to_string(), felt.forms.share()];
            let writes = [felt.writes.of.to_string(), felt.writes.share()];
            let row = [kind.map_or("none", Kind::name).to_owned(), times].into_iter().chain(reads);
            table.add_row(
                row.chain(felt.reads_again.cells())
                    .chain(forms)
                    .chain(writes)
                    .chain(felt.writes_again.cells()),
            );
        }
        trimmed(&table)
    }
}

fn by_name<S: Serializer>(
    faults: &BTreeMap<Option<Kind>, Felt>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer
        .collect_map(faults.iter().map(|(kind, felt)| (kind.map_or("none", Kind::name), felt)))
}

fn name(action: Action) -> &'static str {
    match action {
        Action::Create(_) => "creates",
        Action::Update(..) => "updates",
        Action::Read(_) => "reads of one user",
        Action::Edit(_) => "forms of one user",
        Action::List => "lists",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_can_be_json() {
        let faults =
            BTreeMap::from([(None, Felt::default()), (Some(Kind::SplitBrain), Felt::default())]);
        let violations = BTreeMap::from([(Promise::OwnWrites, 1)]);
        let json =
            serde_json::to_value(Report { faults, violations, ..Report::default() }).unwrap();
        assert_eq!(json["faults"]["promote, old one running"]["reads"]["of"], 0);
        assert_eq!(json["violations"]["own_writes"], 1);
    }
}
