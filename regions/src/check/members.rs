//! `primary` and `replicas`: valid codes, each listed once.

use super::invalid_code;
use super::keys;
use super::source_file::SourceFile;
use super::value::{self, quoted};
use crate::region_code::rust_name;
use std::collections::HashMap;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// A region that the file lists as the primary or as a replica.
pub(super) struct Member {
    /// A valid code: as in the file, or the one that was probably meant.
    pub code: String,
    pub span: Range<usize>,
    pub line: usize,
    /// Whether the file has this very code.
    pub is_verbatim: bool,
}

pub(super) struct Members {
    pub primary: Option<Member>,
    pub replicas: Vec<Member>,
    /// Whether every listed code was read. If not, a code not among them may be listed all the
    /// same.
    pub is_complete: bool,
}

/// Reads both keys. `fly_primary` is the primary of fly.toml, for a file that names none.
pub(super) fn read(
    source: &mut SourceFile<'_>,
    top: &DeTable<'_>,
    fly_primary: Option<&str>,
) -> Members {
    let primary = read_primary(source, top, fly_primary);
    let (replicas, has_every_replica) = read_replicas(source, top);
    let members =
        Members { is_complete: primary.is_some() && has_every_replica, primary, replicas };
    check_duplicates(source, &members);
    members
}

impl Members {
    /// The primary, then the replicas.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.primary.iter().chain(&self.replicas)
    }
}

fn read_primary(
    source: &mut SourceFile<'_>,
    top: &DeTable<'_>,
    fly_primary: Option<&str>,
) -> Option<Member> {
    let Some(value) = top.get("primary") else {
        if !keys::is_misplaced(top, "primary") {
            let example = quoted(fly_primary.unwrap_or("nrt"));
            source.report(
                0..0,
                "`primary` is missing",
                format!(
                    "add `primary = {example}`, with the code of the region that takes the writes"
                ),
            );
        }
        return None;
    };
    let first_element =
        |value: &DeValue<'_>| Some(value.as_array()?.iter().next()?.get_ref().as_str()?.to_owned());
    let example = quoted(first_element(value.get_ref()).as_deref().unwrap_or("nrt"));
    let code = value::string(source, "primary", value, &format!("`primary = {example}`"))?;
    read_code(source, value.span(), code)
}

/// The replicas that could be read, and whether these are all: others may be invalid, or listed
/// under a misspelt key.
fn read_replicas(source: &mut SourceFile<'_>, top: &DeTable<'_>) -> (Vec<Member>, bool) {
    let Some(value) = top.get("replicas") else {
        return (Vec::new(), !keys::is_misplaced(top, "replicas"));
    };
    let Some(elements) = value.get_ref().as_array() else {
        let text = value.get_ref().as_str().unwrap_or("ord");
        let codes: Vec<String> =
            text.split([',', ' ']).filter(|code| !code.is_empty()).map(quoted).collect();
        let form = format!("`replicas = [{}]`", codes.join(", "));
        value::report_wrong_type(source, "replicas", value, "an array", &form);
        return (Vec::new(), false);
    };
    let mut replicas = Vec::new();
    for element in elements {
        if let Some(code) = element.get_ref().as_str() {
            replicas.extend(read_code(source, element.span(), code));
        } else {
            let actual = value::type_name(element.get_ref());
            source.report(
                element.span(),
                format!("a replica is {actual}, not a string"),
                "write only its code, such as \"ord\", and its options under [places.CODE]",
            );
        }
    }
    let is_complete = replicas.len() == elements.len();
    (replicas, is_complete)
}

/// Reads a code. An invalid one is reported, and replaced by the code that was probably meant, so
/// that other mistakes about that region are found too.
fn read_code(source: &mut SourceFile<'_>, span: Range<usize>, text: &str) -> Option<Member> {
    let line = source.line(span.start);
    match invalid_code::validate(text) {
        Ok(()) => Some(Member { code: text.to_owned(), span, line, is_verbatim: true }),
        Err(invalid) => {
            source.report(span.clone(), invalid.problem, invalid.fix);
            invalid.intended.map(|code| Member { code, span, line, is_verbatim: false })
        }
    }
}

/// Reports members that are the same region, or would generate the same Rust type.
fn check_duplicates(source: &mut SourceFile<'_>, members: &Members) {
    let mut firsts: HashMap<String, &Member> = HashMap::new();
    for member in members.iter() {
        let name = rust_name(&member.code);
        let Some(first) = firsts.get(&name) else {
            firsts.insert(name, member);
            continue;
        };
        let (code, line) = (quoted(&member.code), first.line);
        let is_primary = members.primary.as_ref().is_some_and(|primary| primary.span == first.span);
        let (problem, fix) = if first.code != member.code {
            let first = quoted(&first.code);
            let type_name = format!("Repo{name}");
            let problem =
                format!("{code} and {first} (line {line}) would share the Rust type `{type_name}`");
            (problem, "rename one of them")
        } else if is_primary {
            let problem =
                format!("{code} is the primary (line {line}) and cannot be a replica too");
            (problem, "remove it from `replicas`")
        } else {
            let problem = format!("the replica {code} is listed twice (first on line {line})");
            (problem, "remove one of them")
        };
        source.report(member.span.clone(), problem, fix);
    }
}
