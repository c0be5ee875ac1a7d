//! `sslmode` and its kin, in libpq's meaning, over the library that libpq uses: OpenSSL.

mod files;

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use openssl::nid::Nid;
use openssl::ssl::{ConnectConfiguration, SslVerifyMode};
use openssl::x509::{X509Ref, X509VerifyResult};
use postgres_openssl::TlsConnector;

use self::files::{Authorities, Files};

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
    /// `sslrootcert=system` with less than `verify-full`: the system's authorities sign for any
    /// host.
    #[error(
        "has sslrootcert=system with an sslmode that checks too little; write sslmode=verify-full"
    )]
    WeakSystem,
    /// The file of authorities cannot be used.
    #[error(
        "has sslrootcert={path}, which cannot be used ({reason}); name a PEM file of certificates, or write `system`"
    )]
    RootCert {
        /// The file named.
        path: String,
        /// What reading it said.
        reason: String,
    },
    /// The list of revoked certificates cannot be used.
    #[error(
        "has revoked certificates in {path}, which cannot be used ({reason}); name a PEM file in sslcrl, or a folder made by `openssl rehash` in sslcrldir"
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

/// What a URL says of TLS. The files that it names are read for each connection, so that certificates
/// may be renewed while connections are open.
#[derive(Clone)]
pub(crate) struct Tls {
    mode: SslMode,
    files: Arc<Files>,
}

impl Tls {
    /// Of the parameters that `get` answers. libpq's own files are in `~/.postgresql`.
    pub(super) fn new<'a>(
        get: impl Fn(&'static str) -> Option<&'a str>,
        home: Option<&Path>,
    ) -> Result<Self, TlsError> {
        let files = Files::new(&get, home)?;
        let mode = mode(get("sslmode"), files.authorities.as_ref())?;
        if mode != SslMode::Disable {
            files.connector()?;
        }
        Ok(Self { mode, files: files.into() })
    }

    pub(crate) fn mode(&self) -> SslMode {
        self.mode
    }

    /// Makes a TLS session with the server whose certificate is to be for `host`.
    pub(crate) fn connector(&self, host: &str) -> Result<TlsConnector, TlsError> {
        let session = self.files.connector()?.configure();
        let mut session = session.map_err(|error| TlsError::OpenSsl(error.to_string()))?;
        session.set_verify_hostname(self.mode == SslMode::VerifyFull);
        if self.mode == SslMode::VerifyFull
            && let Ok(address) = host.parse()
        {
            take_address_as_text(&mut session, address);
        }
        Ok(TlsConnector::new(session, host))
    }
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

/// OpenSSL's `X509_V_ERR_IP_ADDRESS_MISMATCH`:
/// <https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/>.
const OTHER_ADDRESS: i32 = 64;

/// Takes a certificate that names an address as text too, as libpq does: among its DNS names, or as
/// the common name where it lists no addresses. OpenSSL looks among the addresses only.
fn take_address_as_text(session: &mut ConnectConfiguration, address: IpAddr) {
    let text = address.to_string();
    session.set_verify_callback(SslVerifyMode::PEER, move |is_trusted, chain| {
        let is_named = !is_trusted
            && chain.error().as_raw() == OTHER_ADDRESS
            && chain.current_cert().is_some_and(|cert| names_as_text(cert, &text));
        if is_named {
            chain.set_error(X509VerifyResult::OK);
        }
        is_trusted || is_named
    });
}

fn names_as_text(cert: &X509Ref, address: &str) -> bool {
    let names: Vec<_> = cert.subject_alt_names().into_iter().flatten().collect();
    if names.iter().any(|name| name.dnsname() == Some(address)) {
        return true;
    }
    let lists_addresses = names.iter().any(|name| name.ipaddress().is_some());
    let common_name = cert.subject_name().entries_by_nid(Nid::COMMONNAME).next();
    let common_name = common_name.map(|name| name.data().as_slice());
    !lists_addresses && common_name == Some(address.as_bytes())
}
