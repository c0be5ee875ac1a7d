//! What each SQLSTATE means for the statement that failed with it.
//!
//! The codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use super::failure_kind::FailureKind;

/// `idle_session_timeout`: nothing ran.
pub(super) const ENDED_WHILE_IDLE: &str = "57P05";

/// A plan that the session keeps, where the error is of a stale one.
pub(super) const STALE_PLAN: &str = "0A000";

/// Five characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sqlstate([u8; 5]);

impl Sqlstate {
    pub(super) fn new(code: &[u8]) -> Option<Self> {
        let is_code = code.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
        code.try_into().ok().filter(|_| is_code).map(Self)
    }

    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Debug for Sqlstate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The functions of the server that look a type up by its OID.
const TYPE_LOOKUPS: [&[u8]; 13] = [
    b"getBaseTypeAndTypmod",
    b"getTypeInputInfo",
    b"getTypeOutputInfo",
    b"getTypeBinaryInputInfo",
    b"getTypeBinaryOutputInfo",
    b"get_type_io_data",
    b"get_typlenbyval",
    b"get_typlenbyvalalign",
    b"get_type_category_preferred",
    b"format_type_extended",
    b"lookup_type_cache",
    b"typeidType",
    b"typeidTypeRelid",
];

/// Whether the server's `routine` refused a plan or a type that the session has kept, and that the
/// database no longer has. On a new connection the statement is planned anew.
pub(super) fn is_of_stale_plan(code: &str, routine: &[u8]) -> bool {
    match code {
        // "cached plan must not change result type"
        STALE_PLAN => routine == b"RevalidateCachedQuery",
        // "cache lookup failed for type", "type with OID does not exist"
        "XX000" | "42704" => TYPE_LOOKUPS.contains(&routine),
        _ => false,
    }
}

/// What an error of the server means. `is_read` tells a session for reading.
pub(super) fn kind_of(code: &str, is_fatal: bool, is_stale: bool, is_read: bool) -> FailureKind {
    match code {
        _ if is_stale => FailureKind::Stale,
        ENDED_WHILE_IDLE | "53300" | "57P03" => FailureKind::NotRun,
        "25006" if is_read => FailureKind::WriteInRead,
        "25006" => FailureKind::NotPrimary,
        "40001" | "40P01" => FailureKind::Conflict,
        "25P03" => FailureKind::Passing,
        _ if is_fatal => FailureKind::Broken,
        // Not of this connection: that of a foreign table, or of a parallel worker.
        code if code.starts_with("08") => FailureKind::Passing,
        "57014" | "55P03" | "57P01" | "57P02" | "57P04" => FailureKind::Passing,
        code if code.starts_with("53") => FailureKind::Passing,
        _ => FailureKind::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::FailureKind::{
        Broken, Conflict, NotPrimary, NotRun, Passing, Refused, Stale, WriteInRead,
    };
    use super::*;

    #[test]
    fn what_each_sqlstate_means() {
        let (error, fatal) = (false, true);
        // The code, whether it is fatal, and what it means in a session for reading and for
        // writing.
        for (code, is_fatal, in_read, in_write) in [
            ("08006", error, Passing, Passing),
            ("08006", fatal, Broken, Broken),
            ("08P01", fatal, Broken, Broken),
            ("0A000", error, Refused, Refused),
            ("22012", error, Refused, Refused),
            ("23505", error, Refused, Refused),
            ("25006", error, WriteInRead, NotPrimary),
            ("25P02", error, Refused, Refused),
            ("25P03", fatal, Passing, Passing),
            ("25P04", fatal, Broken, Broken),
            ("28000", fatal, Broken, Broken),
            ("40001", error, Conflict, Conflict),
            ("40001", fatal, Conflict, Conflict),
            ("40P01", error, Conflict, Conflict),
            ("42501", error, Refused, Refused),
            ("53100", error, Passing, Passing),
            ("53200", error, Passing, Passing),
            ("53300", fatal, NotRun, NotRun),
            ("55P03", error, Passing, Passing),
            ("57014", error, Passing, Passing),
            ("57P01", error, Passing, Passing),
            ("57P01", fatal, Broken, Broken),
            ("57P02", fatal, Broken, Broken),
            ("57P03", fatal, NotRun, NotRun),
            ("57P04", fatal, Broken, Broken),
            ("57P05", fatal, NotRun, NotRun),
            ("P0001", error, Refused, Refused),
            ("XX000", error, Refused, Refused),
            ("XX000", fatal, Broken, Broken),
        ] {
            assert_eq!(kind_of(code, is_fatal, false, true), in_read, "{code}, read");
            assert_eq!(kind_of(code, is_fatal, false, false), in_write, "{code}, write");
            assert_eq!(kind_of(code, is_fatal, true, false), Stale, "{code}, stale");
        }
    }

    #[test]
    fn which_errors_tell_of_a_stale_plan() {
        for (code, routine, is_stale) in [
            ("0A000", &b"RevalidateCachedQuery"[..], true),
            ("0A000", b"transformSelectStmt", false),
            ("XX000", b"getBaseTypeAndTypmod", true),
            ("XX000", b"getTypeBinaryInputInfo", true),
            ("XX000", b"heap_open", false),
            ("42704", b"lookup_type_cache", true),
            ("42704", b"typenameType", false),
            ("42P01", b"parserOpenTable", false),
        ] {
            assert_eq!(is_of_stale_plan(code, routine), is_stale, "{code}");
        }
    }
}
