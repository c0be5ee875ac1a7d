//! What one read has come to at the databases that were asked, and whether another is asked.

use crate::error::{Elsewhere, Error, NotServed, Tried};
use crate::server::NotFresh;

/// The databases that did not serve a read.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) tried: Vec<Tried>,
    /// Whether the connection broke on which the read was sent. One more replica may get it then.
    pub(super) has_broken: bool,
}

impl Attempts {
    /// Takes note of a database that was passed over.
    pub(super) fn passed_over(&mut self, region: &'static str, reason: NotServed) {
        self.tried.push(Tried { region, reason });
    }

    /// Takes note of a failure. Returns an error where no other database is asked.
    pub(super) fn failed(
        &mut self,
        region: &'static str,
        is_replica: bool,
        error: Error,
    ) -> Result<(), Error> {
        let is_over = match error.next_read(is_replica).elsewhere {
            Elsewhere::Any => false,
            Elsewhere::OneReplica => std::mem::replace(&mut self.has_broken, true),
            Elsewhere::No => true,
        };
        match error {
            // It is no fault of the databases before, or they have none.
            error if is_over && (!error.is_passing() || self.tried.is_empty()) => Err(error),
            Error::NotServed { tried } => {
                self.tried.extend(tried);
                Ok(())
            }
            error => {
                self.tried.push(Tried { region, reason: error.into() });
                if is_over { Err(self.all_failed()) } else { Ok(()) }
            }
        }
    }

    /// Forgets the databases that were passed over: they may serve by now.
    pub(super) fn keep_failures(&mut self) {
        self.tried.retain(|tried| match tried.reason {
            NotServed::Down(_)
            | NotServed::Failed(_)
            | NotServed::Silent { .. }
            | NotServed::Busy { .. } => true,
            NotServed::Lagging | NotServed::NotReplayed | NotServed::Unfit | NotServed::Spilled => {
                false
            }
        });
    }

    /// The error that names each of them.
    pub(super) fn all_failed(&mut self) -> Error {
        Error::NotServed { tried: std::mem::take(&mut self.tried) }
    }
}

impl From<NotFresh> for NotServed {
    fn from(not_fresh: NotFresh) -> Self {
        match not_fresh {
            NotFresh::NotReplayed => Self::NotReplayed,
            NotFresh::TooOld => Self::Lagging,
            NotFresh::Unfit => Self::Unfit,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::DownReason;

    const WAITED: Duration = Duration::from_secs(1);

    fn silent(region: &'static str) -> Error {
        Error::Timeout { region, waited: WAITED }
    }

    fn broken(region: &'static str) -> Error {
        DownReason::broken(&"the connection broke").in_region(region)
    }

    fn busy(region: &'static str) -> Error {
        Error::Busy { region, waited: WAITED }
    }

    /// The text of the error with which a read ends after these failures, if it does.
    fn ends(failures: impl IntoIterator<Item = (&'static str, Error)>) -> Option<String> {
        let mut attempts = Attempts::default();
        failures
            .into_iter()
            .find_map(|(region, error)| attempts.failed(region, true, error).err())
            .map(|error| error.to_string())
    }

    #[test]
    fn only_failures_count_where_a_read_begins_again() {
        let mut attempts = Attempts::default();
        for reason in [
            NotServed::Down(DownReason::NotPrimary),
            NotServed::Lagging,
            NotServed::NotReplayed,
            NotServed::Unfit,
            NotServed::Spilled,
            NotServed::Busy { waited: WAITED },
            NotServed::Silent { waited: WAITED },
        ] {
            attempts.passed_over("a", reason);
        }
        attempts.keep_failures();
        let kept: Vec<_> = attempts.tried.iter().map(|tried| &tried.reason).collect();
        assert!(
            matches!(
                kept[..],
                [NotServed::Down(_), NotServed::Busy { .. }, NotServed::Silent { .. }]
            ),
            "{kept:?}"
        );
    }

    #[test]
    fn when_a_read_ends() {
        let no_row = || diesel::result::Error::NotFound.into();
        assert_eq!(ends([("a", silent("a")), ("b", silent("b")), ("c", silent("c"))]), None);
        assert_eq!(ends([("a", broken("a")), ("b", silent("b"))]), None, "it was not sent there");
        assert_eq!(ends([("a", no_row())]).unwrap(), "Record not found");
        assert_eq!(ends([("a", silent("a")), ("b", no_row())]).unwrap(), "Record not found");
        assert_eq!(ends([("a", busy("a"))]).unwrap(), busy("a").to_string());
        assert_eq!(
            ends([("a", silent("a")), ("b", busy("b"))]).unwrap(),
            "no database can serve this read: `a` did not answer within 1s; \
             `b` has had no connection free for 1s"
        );
        assert_eq!(
            ends([("a", broken("a")), ("b", broken("b"))]).unwrap(),
            "no database can serve this read: `a` cannot be reached (the connection broke); \
             `b` cannot be reached (the connection broke)"
        );
    }
}
