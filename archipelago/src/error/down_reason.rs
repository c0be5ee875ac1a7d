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
    /// A further server of a region has no URL, and is not used.
    #[error("it is not used: set {variable} to its URL")]
    Off {
        /// The variable that holds the URL.
        variable: String,
    },
    /// The function of [`Settings::with_password`](crate::Settings::with_password) failed.
    #[error("it is not asked, as the password is not known: {detail}")]
    NoPassword {
        /// What the function said.
        detail: String,
    },
    /// A pooler leads to the server, and may hand its sessions to other programs.
    #[error(
        "a pooler such as PgBouncer leads to it: where that pools transactions or statements, this \
         program's settings and locks would reach others; write the server's own URL, or set \
         DATABASE_POOLER=session if the pooler keeps a server for each session"
    )]
    Pooler,
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
         GRANT SELECT ON __diesel_schema_migrations TO {role:?} and USAGE on its schema, or require \
         none"
    )]
    SchemaUnreadable {
        /// The login role.
        role: String,
    },
    /// The server belongs to another database than the primary: its system identifier differs.
    #[error("it is another database than the primary, and no replica of it: mend its URL")]
    ForeignDatabase,
    /// It takes writes on an older timeline than the cluster is on: a promotion has replaced it.
    #[error(
        "it takes writes on timeline {timeline}, and {} on timeline {newest}: what is written here is lost to \
         the others; make it a replica of that one, unless the promotion was a mistake",
        by.map_or_else(|| "its replicas are".to_owned(), |by| format!("the primary is `{by}`"))
    )]
    Superseded {
        /// The region of the primary, where it is known.
        by: Option<&'static str>,
        /// The timeline of this server.
        timeline: u32,
        /// The timeline of the cluster.
        newest: u32,
    },
    /// It takes writes on the primary's own timeline: a replica that lost its `standby.signal`, a
    /// copy, or a second promotion.
    #[error(
        "it takes writes on timeline {timeline}, as the primary `{primary}` does: one of them has \
         lost its standby.signal, is a copy, or was promoted by mistake; see in \
         pg_stat_replication which one the replicas follow, and rebuild the other as a replica"
    )]
    SecondPrimary {
        /// The region of the primary.
        primary: &'static str,
        /// The timeline of both.
        timeline: u32,
    },
    /// It takes writes on a newer timeline that no replica follows, and this process has not seen
    /// its promotion: a copy, or a restored backup.
    #[error(
        "it takes writes on timeline {timeline}, which no replica follows; the primary is \
         `{primary}`: give a copy another URL; if this one was promoted, point the replicas to it"
    )]
    NotFollowed {
        /// The region of the primary.
        primary: &'static str,
        /// The timeline of this server.
        timeline: u32,
    },
    /// It takes writes, and regions.toml says that writes follow no promotion.
    #[error(
        "it takes writes, and regions.toml sends them to `{primary}` only \
         (`follow_promotions = false`)"
    )]
    NotDeclared {
        /// The primary of regions.toml.
        primary: &'static str,
    },
    /// It takes writes, and nothing tells whether it is the primary.
    #[error(
        "it takes writes on timeline {timeline}, and nothing tells whether it was promoted or is a \
         copy: start the primary, or point the replicas to this one"
    )]
    Unproven {
        /// The timeline of this server.
        timeline: u32,
    },
    /// It and others take writes on one timeline, and nothing tells which is right.
    #[error(
        "it takes writes on timeline {timeline}, and so does {}: nothing tells which is the \
         primary; see in pg_stat_replication which one the replicas follow, and stop the others",
        quoted(with)
    )]
    Contested {
        /// The regions of the others.
        with: Vec<&'static str>,
        /// The timeline of all of them.
        timeline: u32,
    },
    /// A replica, while a second primary on the primary's timeline says that standbys stream from it:
    /// this one may show the history of that one.
    #[error(
        "`{second}` takes writes on the timeline of the primary `{primary}`, and standbys stream \
         from it: this replica may be one of them; stop `{second}`, and rebuild it and those that \
         follow it"
    )]
    UnclearUpstream {
        /// The region of the primary.
        primary: &'static str,
        /// The region of the second primary.
        second: &'static str,
    },
    /// A replica has replayed further than its primary had written: the primary was put back to an
    /// older copy, or this replica followed another one.
    #[error(
        "its log reaches further than that of the primary `{primary}`: it shows what the primary \
         has lost, or never had; rebuild it from the primary"
    )]
    AheadOfPrimary {
        /// The region of the primary.
        primary: &'static str,
    },
    /// A connection for writing led to a replica.
    #[error("it is a replica, and takes no writes")]
    NotPrimary,
}

impl DownReason {
    /// A refusal without an SQLSTATE.
    pub(crate) fn refused(detail: &impl ToString) -> Self {
        Self::Refused { sqlstate: None, detail: detail.to_string() }
    }

    /// A password that is not known.
    pub(crate) fn no_password(detail: &impl ToString) -> Self {
        Self::NoPassword { detail: detail.to_string() }
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

    /// Whether two servers may have histories of their own: more than one takes writes, or a replica
    /// shows what its primary never had.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(
            self,
            Self::Superseded { .. }
                | Self::SecondPrimary { .. }
                | Self::NotFollowed { .. }
                | Self::NotDeclared { .. }
                | Self::Unproven { .. }
                | Self::Contested { .. }
                | Self::UnclearUpstream { .. }
                | Self::AheadOfPrimary { .. }
        )
    }

    /// The error's SQLSTATE, where the server gave one.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { sqlstate, .. } => sqlstate.as_deref(),
            _ => None,
        }
    }

    /// What an error says before this reason.
    pub(super) fn verdict(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Broken { .. } => {
                "cannot be reached"
            }
            _ => "cannot be used",
        }
    }

    /// Every [`label`](Self::label).
    pub const LABELS: &'static [&'static str] = &[
        "unreachable",
        "off",
        "no_password",
        "pooler",
        "silent",
        "refused",
        "broken",
        "schema_too_old",
        "schema_unreadable",
        "foreign_database",
        "superseded",
        "second_primary",
        "not_followed",
        "not_declared",
        "unproven",
        "contested",
        "unclear_upstream",
        "ahead_of_primary",
        "not_primary",
    ];

    /// The reason in one word, for metrics and programs.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Off { .. } => "off",
            Self::NoPassword { .. } => "no_password",
            Self::Pooler => "pooler",
            Self::Silent { .. } => "silent",
            Self::Refused { .. } => "refused",
            Self::Broken { .. } => "broken",
            Self::SchemaTooOld { .. } => "schema_too_old",
            Self::SchemaUnreadable { .. } => "schema_unreadable",
            Self::ForeignDatabase => "foreign_database",
            Self::Superseded { .. } => "superseded",
            Self::SecondPrimary { .. } => "second_primary",
            Self::NotFollowed { .. } => "not_followed",
            Self::NotDeclared { .. } => "not_declared",
            Self::Unproven { .. } => "unproven",
            Self::Contested { .. } => "contested",
            Self::UnclearUpstream { .. } => "unclear_upstream",
            Self::AheadOfPrimary { .. } => "ahead_of_primary",
            Self::NotPrimary => "not_primary",
        }
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

/// Regions for a sentence: `ord` and `syd`.
pub(super) fn quoted(codes: &[&'static str]) -> String {
    let codes: Vec<_> = codes.iter().map(|code| format!("`{code}`")).collect();
    codes.join(" and ")
}

/// The whole chain of causes: tokio-postgres itself says only "error connecting to server".
pub(crate) fn with_causes(error: &tokio_postgres::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
