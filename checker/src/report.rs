//! Sums up what many runs showed.

mod figures;

use std::collections::{BTreeMap, BTreeSet};

use archipelago_app::plain_table::{plain_table, trimmed};
use serde::{Serialize, Serializer};

use crate::check::Anomaly;
use crate::history::{History, Outcome};
use crate::nemesis::FaultKind;
use crate::run::Run;
use crate::workload::Request;
use figures::{Availability, Recovery, seconds_text};

/// The sum of all runs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Finished runs.
    pub runs: u32,
    /// Runs that the lab could not carry out; they show nothing.
    pub void: u32,
    /// Faults that this machine cannot make, with the reason of each and how often it was drawn.
    pub skipped: BTreeMap<String, u32>,
    /// Seconds from the first request of a run to its last, added up.
    pub seconds: f64,
    /// The number of requests of each kind.
    pub operations: BTreeMap<&'static str, u32>,
    /// What each kind of fault did to requests; `None` is the time without a fault.
    #[serde(serialize_with = "by_name")]
    pub faults: BTreeMap<Option<FaultKind>, FaultImpact>,
    /// How often this process got no processor time. Promises about time are not checked then.
    pub stalls: usize,
    /// Answers that were marked as stale.
    pub marked_stale: u32,
    /// Acknowledged writes that a promotion discarded; these break no promise.
    pub lost_at_promotions: usize,
    /// The number of violations of each kind.
    pub violations: BTreeMap<Anomaly, u32>,
    /// The seeds of runs with violations.
    pub failing_seeds: Vec<u64>,
}

/// What one kind of fault did to requests.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FaultImpact {
    /// How often the fault was injected.
    pub times: u32,
    /// Reads during the fault that may be marked as stale: all but forms.
    pub reads: Availability,
    /// Forms during the fault. They are never stale, so they fail once the primary has been away
    /// for `max_lag`.
    pub forms: Availability,
    /// Writes during the fault.
    pub writes: Availability,
    /// The time until reads, but for forms, succeeded again in every region.
    pub read_recovery: Recovery,
    /// The time until writes succeeded again in every region.
    pub write_recovery: Recovery,
}

impl Report {
    /// Adds a run.
    pub fn add(&mut self, seed: u64, Run { history, analysis, skipped }: &Run) {
        self.runs += 1;
        self.seconds +=
            history.operations.iter().map(|it| it.end).max().unwrap_or_default().as_secs_f64();
        self.stalls += history.stalls.len();
        self.lost_at_promotions += analysis.lost_at_promotions.len();
        for violation in &analysis.violations {
            *self.violations.entry(violation.anomaly).or_default() += 1;
        }
        for (fault, why) in skipped {
            *self.skipped.entry(format!("{fault}: {why}")).or_default() += 1;
        }
        self.failing_seeds.extend((!analysis.violations.is_empty()).then_some(seed));
        self.add_operations(history);
        self.add_faults(history);
    }

    fn add_operations(&mut self, history: &History) {
        for operation in &history.operations {
            *self.operations.entry(name(operation.request)).or_default() += 1;
            self.marked_stale += u32::from(operation.stale().is_some());
            let during =
                history.faults.iter().filter(|it| it.overlaps(operation.start, operation.end));
            let mut kinds: BTreeSet<_> = during.map(|it| Some(it.fault.kind())).collect();
            if kinds.is_empty() {
                kinds.insert(None);
            }
            for kind in kinds {
                let impact = self.faults.entry(kind).or_default();
                let availability = match operation.request {
                    Request::Create(_) | Request::Update(..) => &mut impact.writes,
                    // Past the app.
                    Request::Commit(..) => continue,
                    Request::Read(_) | Request::List => &mut impact.reads,
                    Request::EditForm(_) => &mut impact.forms,
                };
                availability.add(
                    operation.outcome == Outcome::Ok,
                    operation.end.saturating_sub(operation.start),
                );
            }
        }
    }

    fn add_faults(&mut self, history: &History) {
        for fault in &history.faults {
            let impact = self.faults.entry(Some(fault.fault.kind())).or_default();
            impact.times += 1;
            impact.read_recovery.add(history, fault, Request::allows_stale);
            impact.write_recovery.add(history, fault, Request::is_write);
        }
    }

    /// The report for the terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let total = self.operations.values().sum::<u32>();
        let operations: Vec<_> =
            self.operations.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let violations: Vec<_> =
            self.violations.iter().map(|(anomaly, count)| format!("{count} × {anomaly}")).collect();
        let violations = if violations.is_empty() { "0".to_owned() } else { violations.join(", ") };
        let skipped: Vec<_> =
            self.skipped.iter().map(|(fault, times)| format!("{times} × {fault}")).collect();
        let skipped = if skipped.is_empty() { "0".to_owned() } else { skipped.join(", ") };
        format!(
            "{}\n\
             operations          {total}: {} ({} runs, {:.0} s)\n\
             void runs           {}\n\
             skipped faults      {skipped}\n\
             stalls              {}\n\
             marked as stale     {}\n\
             lost at promotions  {}: acknowledged writes that the new primary had not received\n\
             violations          {violations}\n",
            self.table(),
            operations.join(", "),
            self.runs,
            self.seconds,
            self.void,
            self.stalls,
            self.marked_stale,
            self.lost_at_promotions,
        )
    }

    fn table(&self) -> String {
        let header = [
            "FAULT", "TIMES", "READS", "OK", "LONGEST", "RECOVERY", "AT MOST", "FORMS", "OK",
            "WRITES", "OK", "RECOVERY", "AT MOST",
        ];
        let mut table = plain_table(header, 1);
        for (kind, impact) in &self.faults {
            let FaultImpact { times, reads, forms, writes, .. } = impact;
            let [read_median, read_longest] = impact.read_recovery.cells();
            let [write_median, write_longest] = impact.write_recovery.cells();
            table.add_row([
                kind.map_or("none", FaultKind::name).to_owned(),
                kind.map_or(String::new(), |_| times.to_string()),
                reads.total.to_string(),
                reads.share(),
                seconds_text(reads.longest),
                read_median,
                read_longest,
                forms.total.to_string(),
                forms.share(),
                writes.total.to_string(),
                writes.share(),
                write_median,
                write_longest,
            ]);
        }
        trimmed(&table)
    }
}

fn by_name<S: Serializer>(
    faults: &BTreeMap<Option<FaultKind>, FaultImpact>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        faults.iter().map(|(kind, impact)| (kind.map_or("none", FaultKind::name), impact)),
    )
}

fn name(request: Request) -> &'static str {
    match request {
        Request::Create(_) => "creates",
        Request::Update(..) => "updates",
        Request::Read(_) => "reads of one user",
        Request::EditForm(_) => "forms of one user",
        Request::List => "lists",
        Request::Commit(..) => "operator's commits",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_can_be_json() {
        let faults = BTreeMap::from([
            (None, FaultImpact::default()),
            (Some(FaultKind::SplitBrain), FaultImpact::default()),
        ]);
        let violations = BTreeMap::from([(Anomaly::OwnWriteMissing, 1)]);
        let report = Report { faults, violations, ..Report::default() };
        let json = serde_json::to_value(report).unwrap();
        assert_eq!(json["faults"]["split brain"]["reads"]["total"], 0);
        assert_eq!(json["violations"]["own_write_missing"], 1);
    }
}
