//! Why a database is down, in words for a visitor.

/// The reason without detail.
pub(super) const UNKNOWN: &str = "it cannot be reached";

/// The monitor's reason may name a host, or quote a server's words to its operators. A visitor is
/// shown one of these texts instead; a reason that is not recognised becomes [`UNKNOWN`].
pub(super) fn in_plain_words(reason: &str) -> &'static str {
    const TEXTS: [(&str, &str); 6] = [
        ("newest migration", "its tables are older than this program needs"),
        ("was replaced as the primary", "another one was promoted in its place"),
        ("no answer within", "it does not answer"),
        ("timed out", "it does not answer"),
        ("the database system is", "it is starting, or shutting down"),
        ("authentication failed", "it does not let this program in"),
    ];
    TEXTS.iter().find(|(part, _)| reason.contains(part)).map_or(UNKNOWN, |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_reads_no_host_and_no_words_of_the_server() {
        for (reason, expected) in [
            (
                "its newest migration is 20261123000000, and this program needs 20261123010000",
                "its tables are older than this program needs",
            ),
            (
                "it was replaced as the primary by a promotion",
                "another one was promoted in its place",
            ),
            ("no answer within 5s", "it does not answer"),
            ("error connecting to server: connection timed out", "it does not answer"),
            ("FATAL: the database system is starting up", "it is starting, or shutting down"),
            (
                "FATAL: password authentication failed for user \"app\"",
                "it does not let this program in",
            ),
            ("failed to lookup address of ord.db.internal", "it cannot be reached"),
            ("", "it cannot be reached"),
        ] {
            assert_eq!(in_plain_words(reason), expected, "{reason}");
        }
    }
}
