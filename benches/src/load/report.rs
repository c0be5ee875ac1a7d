//! The report of `load` as text and JSON: the medians of all rounds, and their ratios.

use serde_json::{Value, json};

use super::options::{Options, Workload};
use crate::Failed;
use crate::contenders::Contender;
use crate::turn::{COLUMNS, Costs, Turn, comparison};

/// All turns that were measured.
pub struct Report {
    workloads: Vec<Workload>,
    contenders: Vec<Contender>,
    /// In the order in which they were measured.
    pub turns: Vec<(Workload, Contender, Turn)>,
}

impl Report {
    /// A report without turns.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        Self {
            workloads: options.only.clone(),
            contenders: options.contenders.clone(),
            turns: Vec::new(),
        }
    }

    /// A table for each workload.
    ///
    /// # Errors
    /// When an answer was wrong: then the figures must not be compared.
    pub fn text(&self) -> Result<String, Failed> {
        let problems: Vec<_> = self.problems().collect();
        if problems.is_empty() {
            Ok(self
                .workloads
                .iter()
                .map(|workload| self.table(*workload))
                .collect::<Vec<_>>()
                .join("\n"))
        } else {
            Err(format!(
                "nothing is compared, because answers were wrong:\n  {}",
                problems.join("\n  ")
            )
            .into())
        }
    }

    fn problems(&self) -> impl Iterator<Item = String> {
        self.turns.iter().filter_map(|(workload, contender, turn)| {
            let problem = turn.problem.as_ref()?;
            Some(format!("{}, {}: {problem}", contender.name(), workload.name()))
        })
    }

    fn table(&self, workload: Workload) -> String {
        let found = self
            .contenders
            .iter()
            .filter_map(|contender| Some((*contender, self.median(workload, *contender)?)));
        let (contenders, medians): (Vec<_>, Vec<_>) = found.unzip();
        let rows: Vec<_> =
            contenders.iter().map(|contender| contender.name().to_owned()).zip(medians).collect();
        let mut pairs = Vec::new();
        for yardstick in [Contender::HandWritten, Contender::Raw] {
            let Some(other) = contenders.iter().position(|contender| *contender == yardstick)
            else {
                continue;
            };
            let compared = contenders
                .iter()
                .enumerate()
                .filter(|(_, contender)| contender.is_compared_to(yardstick));
            pairs.extend(compared.map(|(one, _)| (one, other)));
        }
        format!("{}: {}\n{}", workload.name(), workload.meaning(), comparison(&rows, pairs))
    }

    fn median(&self, workload: Workload, contender: Contender) -> Option<Costs> {
        let turns = self.turns.iter().filter(|(of, by, _)| (*of, *by) == (workload, contender));
        Costs::median(&turns.map(|(_, _, turn)| turn.costs).collect::<Vec<_>>())
    }

    /// All turns, the medians, and what was wrong.
    ///
    /// # Errors
    /// When the report cannot be serialized.
    pub fn json(&self) -> Result<String, Failed> {
        let object = |workload: Workload, contender: Contender, costs: &Costs| {
            json!({
                "workload": workload.name(),
                "contender": contender.name(),
                "figures": costs.json(&COLUMNS),
            })
        };
        let turns: Vec<Value> = self
            .turns
            .iter()
            .map(|(workload, contender, turn)| object(*workload, *contender, &turn.costs))
            .collect();
        let mut medians = Vec::new();
        for workload in &self.workloads {
            for contender in &self.contenders {
                medians.extend(
                    self.median(*workload, *contender)
                        .map(|median| object(*workload, *contender, &median)),
                );
            }
        }
        let problems: Vec<_> = self.problems().collect();
        Ok(serde_json::to_string_pretty(
            &json!({ "medians": medians, "turns": turns, "problems": problems }),
        )? + "\n")
    }
}

/// The text above the report: how often and for how long is measured.
#[must_use]
pub fn heading(options: &Options) -> String {
    let Options { rounds, seconds, warm_up, connections, users, .. } = options;
    let turns = if options.against.is_some() { 2 } else { options.contenders.len() };
    let seconds_of_all =
        turns as u64 * options.only.len() as u64 * *rounds as u64 * (seconds + warm_up);
    format!(
        "{rounds} rounds of {seconds} s after {warm_up} s of warm-up, about {} min; wrk with {connections} connections; {users} users. \
         Medians, and their ratios.\n",
        seconds_of_all.div_ceil(60)
    )
}

#[cfg(test)]
mod tests {
    use archipelago_measure::Figures;

    use super::*;

    fn report(problem: Option<&str>) -> Report {
        let turn = |rate| Turn {
            costs: Figures([rate, 1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 16.0]),
            problem: None,
        };
        let mut turns = vec![];
        for rate in [100.0, 900.0, 200.0] {
            turns.push((Workload::User, Contender::HandWritten, turn(rate)));
            turns.push((Workload::User, Contender::Archipelago, turn(rate * 2.0)));
        }
        turns[1].2.problem = problem.map(str::to_owned);
        Report {
            workloads: vec![Workload::User],
            contenders: vec![Contender::HandWritten, Contender::Archipelago],
            turns,
        }
    }

    #[test]
    fn medians_are_compared() {
        let text = report(None).text().unwrap();
        let line = text.lines().last().unwrap();
        assert!(line.starts_with("archipelago / hand-written   2.00"), "{text}");
        let json: Value = serde_json::from_str(&report(None).json().unwrap()).unwrap();
        assert_eq!(json["medians"][1]["figures"]["requests_per_second"], 400.0);
        assert_eq!(json["turns"].as_array().unwrap().len(), 6);
    }

    #[test]
    fn wrong_answers_are_printed_and_not_compared() {
        let error = report(Some("of 9 answers 3 had a status of 400 or more"))
            .text()
            .unwrap_err()
            .to_string();
        let expected = "nothing is compared, because answers were wrong:\n  \
                        archipelago, user: of 9 answers 3 had a status of 400 or more";
        assert_eq!(error, expected);
    }
}
