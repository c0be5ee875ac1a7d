//! What is printed, and written as JSON: the medians of all rounds, and their ratios.

use std::fmt::Write;
use std::thread::available_parallelism;

use archipelago_app::plain_table::{plain_table, trimmed};
use serde_json::{Value, json};

use super::figures::{COLUMNS, Figures};
use super::options::{Options, Workload};
use crate::Failed;
use crate::contenders::Contender;

/// Everything that was measured.
pub struct Report {
    workloads: Vec<Workload>,
    contenders: Vec<Contender>,
    /// In the order of measuring.
    pub measured: Vec<Measured>,
}

/// One turn.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Under which load.
    pub workload: Workload,
    /// Whose.
    pub contender: Contender,
    /// What was found.
    pub figures: Figures,
    /// What was wrong with the answers, if anything was.
    pub trouble: Option<String>,
}

impl Report {
    /// Nothing yet.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        Self { workloads: options.only.clone(), contenders: options.contenders.clone(), measured: Vec::new() }
    }

    /// A table for each workload.
    ///
    /// # Errors
    /// When an answer was wrong: then nothing is compared.
    pub fn text(&self) -> Result<String, Failed> {
        let wrong = self.measured.iter().filter_map(|Measured { workload, contender, trouble, .. }| {
            trouble.as_ref().map(|trouble| format!("\n  {}, {}: {trouble}", contender.name(), workload.name()))
        });
        let wrong: String = wrong.collect();
        if wrong.is_empty() {
            Ok(self.workloads.iter().map(|workload| self.table(*workload)).collect())
        } else {
            Err(format!("nothing is compared, because answers were wrong:{wrong}").into())
        }
    }

    fn table(&self, workload: Workload) -> String {
        let mut header = [""; COLUMNS.len() + 1];
        header[1..].copy_from_slice(&COLUMNS.map(|column| column.heading));
        let mut table = plain_table(header, 1);
        let medians: Vec<_> =
            self.contenders.iter().filter_map(|contender| Some((*contender, self.median(workload, *contender)?))).collect();
        for (contender, median) in &medians {
            let numbers = COLUMNS.iter().zip(median.0).map(|(column, number)| format!("{number:.*}", column.digits));
            table.add_row(std::iter::once(contender.name().to_owned()).chain(numbers));
        }
        for (yardstick, its) in medians.iter().filter(|(yardstick, _)| *yardstick != Contender::Archipelago) {
            for (contender, median) in medians.iter().filter(|(contender, _)| contender != yardstick) {
                let ratios =
                    median.ratio(its).0.map(|ratio| if ratio.is_finite() { format!("{ratio:.2}") } else { "-".to_owned() });
                table.add_row(std::iter::once(format!("{} / {}", contender.name(), yardstick.name())).chain(ratios));
            }
        }
        format!("\n{}: {}\n{}", workload.name(), workload.meaning(), trimmed(&table))
    }

    fn median(&self, workload: Workload, contender: Contender) -> Option<Figures> {
        let rounds = self.measured.iter().filter(|turn| turn.workload == workload && turn.contender == contender);
        Figures::median(&rounds.map(|turn| turn.figures).collect::<Vec<_>>())
    }

    /// Every turn, and the medians.
    ///
    /// # Errors
    /// None that is known.
    pub fn json(&self) -> Result<String, Failed> {
        let object = |workload: Workload, contender: Contender, figures: &Figures| json!({ "workload": workload.name(), "contender": contender.name(), "figures": figures.json() });
        let turns: Vec<Value> = self.measured.iter().map(|turn| object(turn.workload, turn.contender, &turn.figures)).collect();
        let pairs =
            self.workloads.iter().flat_map(|workload| self.contenders.iter().map(move |contender| (*workload, *contender)));
        let medians =
            pairs.filter_map(|(workload, contender)| Some(object(workload, contender, &self.median(workload, contender)?)));
        let medians: Vec<Value> = medians.collect();
        let trouble: Vec<_> = self.measured.iter().filter_map(|turn| turn.trouble.as_deref()).collect();
        Ok(serde_json::to_string_pretty(&json!({ "medians": medians, "turns": turns, "trouble": trouble }))? + "\n")
    }
}

/// What is about to be measured, and on what.
#[must_use]
pub fn heading(options: &Options, servers: &str) -> String {
    let Options { rounds, seconds, warm_up, connections, users, .. } = options;
    let cores = available_parallelism().map_or(0, usize::from);
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{rounds} rounds of {seconds} s after {warm_up} s of warm-up; wrk with {connections} connections; {users} users."
    );
    let _ = writeln!(text, "Client, programs, primary and replica share {cores} cores.");
    let _ = writeln!(text, "PostgreSQL: {servers}. With fsync off a commit does not wait for a disk.");
    if cfg!(debug_assertions) {
        let _ = writeln!(text, "This program was built without optimization: use `cargo run --release`.");
    }
    text
}
