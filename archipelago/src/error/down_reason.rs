//! Why a database cannot be used.

use std::time::Duration;

use super::Error;

/// Why a database serves no queries, or why a connection to it could not be opened.
///
/// The texts may name a host or repeat what a server says to its operators: they are for logs, not
/// for visitors. Programs match on the variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DownReason {
    /// No session could be opened: the name does not resolve, the connection was refused, or TLS or
    /// the login failed without an error from the server.
    #[error("{detail}")]
    Unreachable {
        /// What the operating system or the TLS library said.
        detail: String,
    },
    /// The server did not answer in time.
    #[error("no answer within {waited:?}")]
    Silent {
        /// How long the caller waited.
        waited: Duration,
    },
    /// The server answered, with an error or with something that makes no sense.
    #[error("{detail}")]
    Refused {
        /// The error's SQLSTATE, where the server gave one.
        sqlstate: Option<String>,
        /// What the server said.
        detail: String,
    },
    /// The connection broke before the server had answered.
    #[error("{detail}")]
    Broken {
        /// What the driver said.
        detail: String,
    },
    /// The database lacks migrations that the program needs
    /// ([`Settings::requiring_migrations`](crate::Settings::requiring_migrations)).
    #[error(
        "it lacks the migrations {} that this program needs: run them on the primary; \
         a replica has them when it has caught up",
        missing.join(", ")
    )]
    SchemaTooOld {
        /// The versions of the missing migrations.
        missing: Vec<String>,
    },
    /// The login role may not read which migrations the database has.
    #[error(
        "the role may not read which migrations it has: \
         GRANT SELECT ON __diesel_schema_migrations TO {role:?}, or require none"
    )]
    SchemaUnreadable {
        /// The login role.
        role: String,
    },
    /// The server belongs to another database than the primary: its system identifier differs.
    #[error("it is another database than the primary, and no replica of it: mend its URL")]
    ForeignDatabase,
    /// A promotion replaced this primary, and it still runs as one.
    #[error(
        "it was replaced as the primary by a promotion, and goes on by itself: \
         stop it, and make it a replica of the new one"
    )]
    Superseded,
    /// A connection for writing led to a replica.
    #[error("it is a replica, and takes no writes")]
    NotPrimary,
}

impl DownReason {
    /// A refusal without an SQLSTATE.
    pub(crate) fn refused(detail: &impl ToString) -> Self {
        Self::Refused { sqlstate: None, detail: detail.to_string() }
    }

    /// A connection that broke.
    pub(crate) fn broken(detail: &impl ToString) -> Self {
        Self::Broken { detail: detail.to_string() }
    }

    /// Whether no session could be opened or no answer came, so that other callers wait in vain.
    /// False where the server answered with an error.
    #[must_use]
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Silent { .. })
    }

    /// The failure of a query to `region` for this reason.
    pub(crate) fn in_region(self, region: &'static str) -> Error {
        match self {
            Self::NotPrimary => Error::NotPrimary { region },
            reason => Error::Unreachable { region, reason },
        }
    }
}

impl From<tokio_postgres::Error> for DownReason {
    /// Without an SQLSTATE the error did not come from the server.
    fn from(error: tokio_postgres::Error) -> Self {
        let detail = with_causes(&error);
        match error.code() {
            Some(code) => Self::Refused { sqlstate: Some(code.code().to_owned()), detail },
            None => Self::Unreachable { detail },
        }
    }
}

impl From<diesel::ConnectionError> for DownReason {
    fn from(error: diesel::ConnectionError) -> Self {
        Self::refused(&error)
    }
}

impl From<diesel::result::Error> for DownReason {
    fn from(error: diesel::result::Error) -> Self {
        Self::refused(&error)
    }
}

/// The whole chain of causes: tokio-postgres itself says only "error connecting to server".
fn with_causes(error: &tokio_postgres::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
