//! Defects of earlier versions, put back by a switch: the simulation must find each.

use crate::settings::{Safeguard, Safeguards};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    /// Any server that takes writes answers as a primary (A1).
    AnyPrimary,
    /// The newest timeline leads without evidence (A2).
    NewestLeads,
    /// A server of another database is never adopted (A3).
    ForeignForEver,
    /// A position on a timeline that is not known counts as none (A4).
    Rumours,
    /// Members that are not used are asked once (A5).
    NoBackground,
    /// A member that an election finds unfit answers reads (A6).
    NoFitness,
    /// A replica's position bounds what it has shown (B1).
    NoBound,
    /// All cookies share a name (B2).
    OneCookie,
}

impl Defect {
    pub(super) fn safeguards(defect: Option<Self>) -> Safeguards {
        let all = Safeguards::default();
        match defect {
            Some(Self::AnyPrimary) => all.without(Safeguard::Role),
            Some(Self::NewestLeads) => all.without(Safeguard::Evidence),
            Some(Self::NoFitness) => all.without(Safeguard::Fitness),
            Some(Self::NoBound) => all.without(Safeguard::Bound),
            _ => all,
        }
    }
}
