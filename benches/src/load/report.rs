//! What is printed, and written as JSON: the medians of all rounds, and their ratios.

use serde_json::{Value, json};

use super::options::{Options, Workload};
use crate::Failed;
use crate::contenders::Contender;
use crate::figures::{Figures, comparison};
use crate::turn::Turn;

/// Everything that was measured.
pub struct Report {
    workloads: Vec<Workload>,
    contenders: Vec<Contender>,
    /// In the order of measuring.
    pub measured: Vec<(Workload, Contender, Turn)>,
}

impl Report {
    /// Nothing yet.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        Self {
            workloads: options.only.clone(),
            contenders: options.contenders.clone(),
            measured: Vec::new(),
        }
    }

    /// A table for each workload.
    ///
    /// # Errors
    /// When an answer was wrong: then nothing is compared.
    pub fn text(&self) -> Result<String, Failed> {
        let troubles: Vec<_> = self.troubles().collect();
        if troubles.is_empty() {
            Ok(self
                .workloads
                .iter()
                .map(|workload| self.table(*workload))
                .collect::<Vec<_>>()
                .join("\n"))
        } else {
            Err(format!(
                "nothing is compared, because answers were wrong:\n  {}",
                troubles.join("\n  ")
            )
            .into())
        }
    }

    fn troubles(&self) -> impl Iterator<Item = String> {
        self.measured.iter().filter_map(|(workload, contender, turn)| {
            turn.trouble
                .as_ref()
                .map(|trouble| format!("{}, {}: {trouble}", contender.name(), workload.name()))
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

    fn median(&self, workload: Workload, contender: Contender) -> Option<Figures> {
        let turns =
            self.measured.iter().filter(|(its, whose, _)| *its == workload && *whose == contender);
        Figures::median(&turns.map(|(_, _, turn)| turn.figures).collect::<Vec<_>>())
    }

    /// Every turn, and the medians.
    ///
    /// # Errors
    /// None that is known.
    pub fn json(&self) -> Result<String, Failed> {
        let object = |workload: Workload, contender: Contender, figures: &Figures| json!({ "workload": workload.name(), "contender": contender.name(), "figures": figures.json() });
        let turns: Vec<Value> = self
            .measured
            .iter()
            .map(|(workload, contender, turn)| object(*workload, *contender, &turn.figures))
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
        let troubles: Vec<_> = self.troubles().collect();
        Ok(serde_json::to_string_pretty(
            &json!({ "medians": medians, "turns": turns, "troubles": troubles }),
        )? + "\n")
    }
}

/// What is about to be measured.
#[must_use]
pub fn heading(options: &Options) -> String {
    let Options { rounds, seconds, warm_up, connections, users, .. } = options;
    let turns = if options.against.is_some() { 2 } else { options.contenders.len() };
    let whole = turns as u64 * options.only.len() as u64 * *rounds as u64 * (seconds + warm_up);
    format!(
        "{rounds} rounds of {seconds} s after {warm_up} s of warm-up, about {} min; wrk with {connections} connections; {users} users. \
         Medians, and their ratios.\n",
        whole.div_ceil(60)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(trouble: Option<&str>) -> Report {
        let turn = |rate| Turn {
            figures: Figures([rate, 1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 16.0]),
            trouble: None,
        };
        let mut measured = vec![];
        for rate in [100.0, 900.0, 200.0] {
            measured.push((Workload::User, Contender::HandWritten, turn(rate)));
            measured.push((Workload::User, Contender::Archipelago, turn(rate * 2.0)));
        }
        measured[1].2.trouble = trouble.map(str::to_owned);
        Report {
            workloads: vec![Workload::User],
            contenders: vec![Contender::HandWritten, Contender::Archipelago],
            measured,
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
    fn wrong_answers_are_shown_and_not_compared() {
        let error = report(Some("of 9 answers 3 had a status of 400 or more"))
            .text()
            .unwrap_err()
            .to_string();
        let expected = "nothing is compared, because answers were wrong:\n  \
                        archipelago, user: of 9 answers 3 had a status of 400 or more";
        assert_eq!(error, expected);
    }
}
