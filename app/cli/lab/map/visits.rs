//! The visits that the edge has seen, as the map gets them.

use archipelago_edge::{Visit, Visits};
use serde::Serialize;

#[derive(Serialize)]
struct ShownVisit {
    number: u64,
    method: String,
    path: String,
    status: u16,
    place: Option<String>,
    instance: Option<String>,
    replayed: Option<String>,
    failed: Option<&'static str>,
    served_by: Option<String>,
    ms: f64,
}

/// The visits after that number as JSON, the oldest first, and the number of the last one. None where
/// there is none.
pub(super) fn visits_since(visits: &Visits, number: u64) -> Option<(u64, String)> {
    let visits = visits.since(number);
    let last = visits.first()?.number;
    let shown: Vec<_> = visits.into_iter().rev().map(ShownVisit::from).collect();
    Some((last, serde_json::to_string(&shown).unwrap_or_default()))
}

impl From<Visit> for ShownVisit {
    fn from(visit: Visit) -> Self {
        Self {
            number: visit.number,
            method: visit.method.to_string(),
            path: visit.path,
            status: visit.status.as_u16(),
            place: visit.hops.place,
            instance: visit.hops.instance,
            replayed: visit.hops.replayed,
            failed: visit.hops.failed,
            served_by: visit.served_by,
            ms: visit.elapsed.as_secs_f64() * 1000.0,
        }
    }
}
