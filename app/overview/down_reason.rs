//! Why a database is down and what to do, in words for a visitor.

use archipelago::DownReason;

/// The reason without detail.
pub(super) const UNKNOWN: &str = "it cannot be reached";

/// A reason without its details: those may name a host, or quote what a server says to its
/// operators.
pub(super) fn in_plain_words(reason: &DownReason) -> &'static str {
    match reason {
        DownReason::SchemaTooOld { .. } => "its tables are older than this program needs",
        DownReason::SchemaUnreadable { .. } => "this program may not see which tables it has",
        DownReason::Superseded { .. } => "another one was promoted in its place",
        DownReason::SecondPrimary { .. } => "it takes writes beside the primary",
        DownReason::NotFollowed { .. } => "it takes writes, and no replica follows it",
        DownReason::NotDeclared { .. } => "it takes writes, and is not the primary of regions.toml",
        DownReason::Unproven { .. } => "it takes writes, and may be a copy of the primary",
        DownReason::Contested { .. } => "it is one of several that take writes",
        DownReason::UnclearUpstream { .. } => "it may follow another one than the primary",
        DownReason::AheadOfPrimary { .. } => "it shows what the primary has lost",
        DownReason::ForeignDatabase => "it is another database",
        DownReason::Pooler => "a pooler stands between it and this program",
        DownReason::Silent { .. } => "it does not answer",
        DownReason::Refused { sqlstate: Some(code), .. } => match code.as_str() {
            "28000" | "28P01" => "it does not let this program in",
            "53300" => "it takes no more connections",
            "57P03" => "it is starting, or shutting down",
            _ => "it refuses this program's questions",
        },
        _ => UNKNOWN,
    }
}

/// What its operator can do about it.
pub(super) fn advice(reason: &DownReason) -> &'static str {
    match reason {
        DownReason::SchemaTooOld { .. } => {
            "Run this program's migrations on the primary; a replica has them when it has caught up."
        }
        DownReason::SchemaUnreadable { .. } => {
            "Let its role read the table of migrations: the log has the GRANT."
        }
        DownReason::Superseded { .. } => "Rebuild it as a replica of the new primary.",
        DownReason::SecondPrimary { .. }
        | DownReason::Contested { .. }
        | DownReason::UnclearUpstream { .. } => {
            "Find out which one the replicas follow before you stop one: see “Two that take writes” in docs/operating.md."
        }
        DownReason::NotFollowed { .. } | DownReason::Unproven { .. } => {
            "If it was promoted, point the replicas to it; give a copy another URL."
        }
        DownReason::NotDeclared { .. } => {
            "Name it as the primary in regions.toml, or let writes follow promotions."
        }
        DownReason::AheadOfPrimary { .. } => "Rebuild it from the primary.",
        DownReason::ForeignDatabase => "Mend its URL.",
        DownReason::Pooler => "Write the URL of the server itself.",
        DownReason::Silent { .. } => {
            "See whether the server and the line to it work; archipelago doctor asks from here."
        }
        DownReason::Refused { sqlstate: Some(code), .. } => match code.as_str() {
            "28000" | "28P01" => "Mend its user, password or pg_hba.conf.",
            "53300" => "Raise max_connections, or lower POOL_SIZE.",
            "57P03" => "Wait until it has started.",
            _ => "See the log of this program, and that of the server.",
        },
        _ => "Start it, or mend the line to it; archipelago doctor says what fails from here.",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_visitor_reads_no_host_and_no_words_of_the_server() {
        let refused = |code: &str| DownReason::Refused {
            sqlstate: Some(code.to_owned()),
            detail: "db error: FATAL: no entry for user \"app\" at ord.db.internal".to_owned(),
        };
        let table = [
            (
                DownReason::SchemaTooOld { missing: vec!["20261123010000".to_owned()] },
                "its tables are older than this program needs",
            ),
            (
                DownReason::SchemaUnreadable { role: "app".to_owned() },
                "this program may not see which tables it has",
            ),
            (
                DownReason::Superseded { by: Some("ord"), timeline: 1, newest: 2 },
                "another one was promoted in its place",
            ),
            (DownReason::Silent { waited: Duration::from_secs(5) }, "it does not answer"),
            (refused("57P03"), "it is starting, or shutting down"),
            (refused("28P01"), "it does not let this program in"),
            (refused("28000"), "it does not let this program in"),
            (refused("53300"), "it takes no more connections"),
            (refused("42501"), "it refuses this program's questions"),
            (
                DownReason::Unreachable { detail: "no address of ord.db.internal".to_owned() },
                "it cannot be reached",
            ),
        ];
        for (reason, expected) in table {
            assert_eq!(in_plain_words(&reason), expected, "{reason}");
        }
    }
}
