//! Members that are not of the leader's history answer nothing: other primaries, and replicas ahead
//! of a primary that was put back.

use std::collections::HashMap;

use super::{Analysis, Anomaly, MARGIN};
use crate::history::{History, Operation, Outcome};

pub(super) fn check(history: &History, analysis: &mut Analysis) {
    let answers = || {
        let operations = history.operations.iter().enumerate();
        operations.filter(|(_, operation)| operation.outcome == Outcome::Ok)
    };
    for (index, answer) in answers() {
        if let Some(region) = wrong_primary(history, answer) {
            let detail = format!("{region} answered as a primary, and does not lead");
            analysis.add(Anomaly::WrongPrimary, detail, [index]);
        }
    }
    for reset in &history.resets {
        // What was certainly written after the copy, and before the primary went back to it.
        let lost: HashMap<_, _> = answers()
            .filter(|(_, it)| reset.copied_until < it.start && it.end < reset.began)
            .filter_map(|(index, it)| Some((it.request.written()?, index)))
            .collect();
        for (index, read) in answers().filter(|(_, it)| reset.done + MARGIN < it.start) {
            let shown = read.observed.iter().find_map(|version| lost.get_key_value(version));
            if let Some((&(register, version), write)) = shown {
                let detail = format!("{} was lost", register.user_name(version));
                analysis.add(Anomaly::LostHistoryServed, detail, [*write, index]);
            }
        }
    }
}

/// The region of the primary beside the leader that gave this answer.
fn wrong_primary<'a>(history: &History, answer: &'a Operation) -> Option<&'a str> {
    let region = answer.database().filter(|_| answer.is_by_a_primary())?;
    let mut faults = history.faults.iter();
    let is_wrong = faults.any(|it| {
        it.from <= answer.start
            && answer.end <= it.until
            && it.fault.wrong_primaries().contains(&region)
    });
    is_wrong.then_some(region)
}
