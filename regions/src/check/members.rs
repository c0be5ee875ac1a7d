//! The primary and the replicas: codes of the right form, each one only once.

mod written;

pub(super) use written::refusal;

use super::fly::Fly;
use super::keys;
use super::report::Report;
use super::value::{self, quoted};
use crate::rust_name;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// A region that is the primary or a replica.
pub(super) struct Member {
    /// Always well formed: where the file has another form, the one that was meant.
    pub code: String,
    pub span: Range<usize>,
    pub line: usize,
    /// Whether the file has this very code, without a mistake.
    pub as_written: bool,
}

pub(super) struct Members {
    pub primary: Option<Member>,
    pub replicas: Vec<Member>,
    /// Whether every member could be read, so that a code not among them is surely no member.
    pub complete: bool,
}

pub(super) fn read(report: &mut Report<'_>, top: &DeTable<'_>, fly: Option<&Fly>) -> Members {
    let primary = primary(report, top, fly);
    let (replicas, all_read) = replicas(report, top);
    let members = Members { complete: primary.is_some() && all_read, primary, replicas };
    tell_apart(report, &members);
    members
}

impl Members {
    /// The primary and then the replicas.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.primary.iter().chain(&self.replicas)
    }
}

fn primary(report: &mut Report<'_>, top: &DeTable<'_>, fly: Option<&Fly>) -> Option<Member> {
    let Some(value) = top.get("primary") else {
        if !keys::is_misplaced(top, "primary") {
            let code = fly.and_then(Fly::primary).unwrap_or("nrt");
            report.add(
                0..0,
                "there is no primary",
                format!(
                    "write `primary = {code:?}`, with the code of the region that takes the writes"
                ),
            );
        }
        return None;
    };
    let in_array =
        |value: &DeValue<'_>| Some(value.as_array()?.iter().next()?.get_ref().as_str()?.to_owned());
    let meant = in_array(value.get_ref()).unwrap_or_else(|| "nrt".to_owned());
    let text = value::string(report, "primary", value, &format!("`primary = {}`", quoted(&meant)))?;
    written::member(report, value.span(), text)
}

/// The replicas that could be read, and whether they are all: some may be ill written, or stand under another key.
fn replicas(report: &mut Report<'_>, top: &DeTable<'_>) -> (Vec<Member>, bool) {
    let Some(value) = top.get("replicas") else {
        return (Vec::new(), !keys::is_misplaced(top, "replicas"));
    };
    let Some(elements) = value.get_ref().as_array() else {
        let codes: Vec<String> = value
            .get_ref()
            .as_str()
            .unwrap_or("ord")
            .split([',', ' '])
            .filter(|code| !code.is_empty())
            .map(quoted)
            .collect();
        value::wrong_type(
            report,
            "replicas",
            value,
            "an array",
            &format!("`replicas = [{}]`", codes.join(", ")),
        );
        return (Vec::new(), false);
    };
    let mut replicas = Vec::new();
    for element in elements {
        let member = if let Some(text) = element.get_ref().as_str() {
            written::member(report, element.span(), text)
        } else {
            let got = value::kind(element.get_ref());
            let instead = "write only its code, such as \"ord\", and the rest under [places.CODE]";
            report.add(element.span(), format!("a replica is {got}, not a string"), instead);
            None
        };
        replicas.extend(member);
    }
    let all_read = replicas.len() == elements.len();
    (replicas, all_read)
}

/// Reports members that are one region, or would be one Rust type.
fn tell_apart(report: &mut Report<'_>, members: &Members) {
    let all: Vec<&Member> = members.iter().collect();
    for (index, member) in all.iter().enumerate() {
        let name = rust_name(&member.code);
        let Some(first) = all[..index].iter().find(|first| rust_name(&first.code) == name) else {
            continue;
        };
        let (code, line) = (quoted(&member.code), first.line);
        let is_primary = members.primary.as_ref().is_some_and(|primary| primary.span == first.span);
        if first.code != member.code {
            report.add(
                member.span.clone(),
                format!(
                    "{code} and {} (line {line}) would both be the Rust type `Repo{name}`",
                    quoted(&first.code)
                ),
                "rename one of them",
            );
        } else if is_primary {
            report.add(
                member.span.clone(),
                format!("{code} is the primary (line {line}) and cannot be a replica too"),
                "take it out of `replicas`",
            );
        } else {
            report.add(
                member.span.clone(),
                format!("the replica {code} is listed twice (first on line {line})"),
                "take one of them out",
            );
        }
    }
}
