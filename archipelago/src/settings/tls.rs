//! `sslmode` and its kin, in libpq's meaning, over the library that libpq uses: OpenSSL.

mod files;
mod names;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslMode as SslWriteMode, SslOptions, SslRef,
    SslVerifyMode, SslVersion,
};

use self::files::{Authorities, Files};
use self::names::{CertificateNames, is_address};
use super::shown::shown;

/// How much TLS protects a connection. The words and their meaning are libpq's:
/// <https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS where the server offers it and the handshake succeeds, else plain text. The default;
    /// `allow` means the same here. A certificate is checked where authorities are named.
    Prefer,
    /// TLS only. The certificate is not checked; where authorities are named, this is `VerifyCa`.
    Require,
    /// TLS only; a trusted authority must have signed the certificate.
    VerifyCa,
    /// TLS only; a trusted authority must have signed the certificate, for this host.
    VerifyFull,
}

impl SslMode {
    pub(crate) fn negotiation(self) -> tokio_postgres::config::SslMode {
        match self {
            Self::Disable => tokio_postgres::config::SslMode::Disable,
            Self::Prefer => tokio_postgres::config::SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => {
                tokio_postgres::config::SslMode::Require
            }
        }
    }
}

impl fmt::Display for SslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        })
    }
}

/// What is wrong with the TLS parameters of a URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// An `sslmode` that libpq does not know either.
    #[error(
        "has a wrong `sslmode`; write disable, allow, prefer, require, verify-ca or verify-full"
    )]
    Mode,
    /// An `ssl_min_protocol_version` or an `ssl_max_protocol_version` that is none.
    #[error("has a wrong `{0}`; write TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3")]
    Version(&'static str),
    /// An `ssl_min_protocol_version` above `ssl_max_protocol_version`.
    #[error(
        "has an ssl_max_protocol_version below ssl_min_protocol_version, which is TLSv1.2 unless set; write a wider range"
    )]
    VersionRange,
    /// `sslrootcert=system` with less than `verify-full`: the system's authorities sign for any
    /// host.
    #[error(
        "has sslrootcert=system with an sslmode that checks too little; write sslmode=verify-full"
    )]
    WeakSystem,
    /// The file of authorities cannot be used.
    #[error(
        "has sslrootcert={}, which cannot be used ({reason}); name a PEM file of certificates, or write `system`",
        shown(path)
    )]
    RootCert {
        /// The file named.
        path: String,
        /// What reading it said.
        reason: String,
    },
    /// The list of revoked certificates cannot be used.
    #[error(
        "has revoked certificates in {}, which cannot be used ({reason}); name a PEM file in sslcrl, or a folder made by `openssl rehash` in sslcrldir",
        shown(path)
    )]
    Revoked {
        /// The file or folder named.
        path: String,
        /// What reading it said.
        reason: String,
    },
    /// The certificate of this client, or its key, cannot be used.
    #[error("has an `sslcert` and an `sslkey` that cannot be used ({0}); name two files")]
    ClientCert(String),
    /// There is nothing to check a certificate against.
    #[error(
        "asks for a checked certificate, and names no authorities; name a PEM file in sslrootcert, or write sslrootcert=system for those of this machine"
    )]
    NoAuthorities,
    /// OpenSSL refuses the configuration.
    #[error("cannot use TLS: {0}")]
    OpenSsl(String),
}

/// What a URL says of TLS. The files that it names are read again for each connection, so that
/// certificates may be renewed while connections are open.
#[derive(Clone)]
pub(crate) struct Tls {
    mode: SslMode,
    files: Arc<Files>,
    context: SslContext,
}

impl Tls {
    /// Reads the TLS parameters of a URL; `get` returns the value of each. libpq's own files are in
    /// `~/.postgresql`.
    pub(super) fn new<'a>(
        get: impl Fn(&'static str) -> Option<&'a str>,
        home: Option<&Path>,
    ) -> Result<Self, TlsError> {
        let files = Files::new(&get, home);
        let mode = mode(get("sslmode"), files.authorities.as_ref())?;
        let context = context(&Versions::new(&get)?, files.authorities.as_ref());
        let tls =
            Self { mode, files: files.into(), context: context.map_err(|error| refused(&error))? };
        if mode != SslMode::Disable {
            // Finds mistakes at the start.
            tls.session("")?;
        }
        Ok(tls)
    }

    pub(crate) fn mode(&self) -> SslMode {
        self.mode
    }

    /// A new session with `host`, before its handshake.
    pub(crate) fn session(&self, host: &str) -> Result<Ssl, TlsError> {
        let mut session = Ssl::new(&self.context).map_err(|error| refused(&error))?;
        self.files.configure(&mut session)?;
        if !is_address(host) {
            session.set_hostname(host).map_err(|error| refused(&error))?;
        }
        Ok(session)
    }

    /// What speaks against a session with `host` behind its handshake. A direct one was begun
    /// without asking whether PostgreSQL listens there.
    pub(crate) fn objection(
        &self,
        session: &SslRef,
        host: &str,
        is_direct: bool,
    ) -> Option<String> {
        if is_direct && session.selected_alpn_protocol() != Some(PROTOCOL) {
            return Some("the server did not agree on PostgreSQL's protocol (ALPN)".to_owned());
        }
        if self.mode != SslMode::VerifyFull {
            return None;
        }
        let certificate = session.peer_certificate();
        let is_named = certificate.is_some_and(|it| CertificateNames::from(&*it).include(host));
        (!is_named).then(|| format!("the server's certificate is not for `{host}`"))
    }
}

/// The parameters `ssl_min_protocol_version` and `ssl_max_protocol_version`.
struct Versions {
    min: SslVersion,
    max: Option<SslVersion>,
}

impl Versions {
    fn new<'a>(get: &impl Fn(&'static str) -> Option<&'a str>) -> Result<Self, TlsError> {
        /// In their order.
        const KNOWN: [(&str, SslVersion); 4] = [
            ("TLSv1", SslVersion::TLS1),
            ("TLSv1.1", SslVersion::TLS1_1),
            ("TLSv1.2", SslVersion::TLS1_2),
            ("TLSv1.3", SslVersion::TLS1_3),
        ];
        let index = |parameter, text: &str| {
            let found = KNOWN.iter().position(|(name, _)| name.eq_ignore_ascii_case(text));
            found.ok_or(TlsError::Version(parameter))
        };
        let named = |parameter| get(parameter).map(|text| index(parameter, text)).transpose();
        let max = named("ssl_max_protocol_version")?;
        // libpq's default is 1.2.
        let min = named("ssl_min_protocol_version")?.unwrap_or(2);
        if max.is_some_and(|max| max < min) {
            return Err(TlsError::VersionRange);
        }
        Ok(Self { min: KNOWN[min].1, max: max.map(|max| KNOWN[max].1) })
    }
}

/// The name of PostgreSQL's protocol for ALPN:
/// <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL>.
const PROTOCOL: &[u8] = b"postgresql";

fn context(
    versions: &Versions,
    authorities: Option<&Authorities>,
) -> Result<SslContext, ErrorStack> {
    let mut context = SslContextBuilder::new(SslMethod::tls_client())?;
    context.set_options(SslOptions::NO_COMPRESSION);
    // What asynchronous writes need.
    context.set_mode(SslWriteMode::ENABLE_PARTIAL_WRITE | SslWriteMode::ACCEPT_MOVING_WRITE_BUFFER);
    context.set_min_proto_version(Some(versions.min))?;
    if versions.max.is_some() {
        context.set_max_proto_version(versions.max)?;
    }
    let length = [u8::try_from(PROTOCOL.len()).unwrap_or_default()];
    context.set_alpn_protos(&[&length, PROTOCOL].concat())?;
    context.set_verify(match authorities {
        Some(_) => SslVerifyMode::PEER,
        None => SslVerifyMode::NONE,
    });
    if let Some(Authorities::System) = authorities {
        context.set_default_verify_paths()?;
    }
    Ok(context.build())
}

/// What OpenSSL says, without the lines of its code.
pub(crate) fn reasons(error: &ErrorStack) -> String {
    let reasons: Vec<_> = error.errors().iter().filter_map(openssl::error::Error::reason).collect();
    reasons.join(", ")
}

fn refused(error: &ErrorStack) -> TlsError {
    TlsError::OpenSsl(reasons(error))
}

fn mode(name: Option<&str>, authorities: Option<&Authorities>) -> Result<SslMode, TlsError> {
    Ok(match (name, authorities) {
        // libpq: the system's authorities sign for any host, so `system` requires verify-full.
        (None | Some("verify-full"), Some(Authorities::System)) => SslMode::VerifyFull,
        (Some(_), Some(Authorities::System)) => return Err(TlsError::WeakSystem),
        (Some("disable"), _) => SslMode::Disable,
        (None | Some("allow" | "prefer"), _) => SslMode::Prefer,
        (Some("require"), None) => SslMode::Require,
        (Some("verify-ca" | "verify-full"), None) => return Err(TlsError::NoAuthorities),
        // libpq: "if a root CA file is present, `require` behaves like `verify-ca`".
        (Some("require" | "verify-ca"), Some(_)) => SslMode::VerifyCa,
        (Some("verify-full"), Some(_)) => SslMode::VerifyFull,
        (Some(_), _) => return Err(TlsError::Mode),
    })
}
