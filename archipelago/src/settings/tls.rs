//! `sslmode`, `sslrootcert`, `sslcert` and `sslkey`, in libpq's meaning, over rustls.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How much TLS protects a connection. The words and their meaning are libpq's:
/// <https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS where the server offers it, without a check of its certificate. The default; `allow`
    /// means the same here.
    Prefer,
    /// TLS only, without a check of the certificate.
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
    /// The certificate of this client, or its key, cannot be used.
    #[error("has an `sslcert` and an `sslkey` that cannot be used ({0}); name two PEM files")]
    ClientCert(String),
    /// There is nothing to check a certificate against.
    #[error(
        "asks for a checked certificate, and this machine has no certificate authorities; install ca-certificates, or name a file in sslrootcert="
    )]
    NoAuthorities,
    /// rustls refuses the configuration.
    #[error("cannot use TLS: {0}")]
    Rustls(String),
}

/// The files that a URL names, or that lie where libpq looks for them.
pub(super) struct TlsFiles {
    /// The authorities; or `system`.
    root_cert: Option<String>,
    /// The certificate of this client, and its key.
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl TlsFiles {
    /// libpq's own are `root.crt`, `postgresql.crt` and `postgresql.key` in `~/.postgresql`.
    pub(super) fn new(
        root_cert: Option<&str>,
        cert: Option<&str>,
        key: Option<&str>,
        home: Option<&Path>,
    ) -> Self {
        let own = |name: &str| {
            let path = home?.join(".postgresql").join(name);
            path.exists().then_some(path)
        };
        let own_root = || Some(own("root.crt")?.display().to_string());
        Self {
            root_cert: root_cert.map(str::to_owned).or_else(own_root),
            cert: cert.map(PathBuf::from).or_else(|| own("postgresql.crt")),
            key: key.map(PathBuf::from).or_else(|| own("postgresql.key")),
        }
    }

    /// The certificate of this client with its chain, and its key.
    fn identity(&self) -> Result<Option<Identity>, TlsError> {
        let Some(cert) = &self.cert else { return Ok(None) };
        let unusable = |reason: &dyn fmt::Display| TlsError::ClientCert(reason.to_string());
        let key = self.key.as_ref().ok_or_else(|| unusable(&"there is no sslkey"))?;
        check_secrecy(key).map_err(|error| unusable(&error))?;
        let chain = CertificateDer::pem_file_iter(cert).map_err(|error| unusable(&error))?;
        let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|error| unusable(&error))?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(&error))?;
        Ok(Some((chain, key)))
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// As libpq: a key that others may read is not used. The group may read one of root.
fn check_secrecy(key: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;

        let metadata = std::fs::metadata(key)?;
        let forbidden = if metadata.uid() == 0 { 0o027 } else { 0o077 };
        if metadata.mode() & forbidden != 0 {
            return Err(io::Error::other("others may read the key; run chmod 0600"));
        }
    }
    Ok(())
}

/// An `sslmode`, and the connector that enforces it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tls {
    mode: SslMode,
    connector: MakeRustlsConnect,
}

impl Tls {
    pub(super) fn new(mode: Option<&str>, files: &TlsFiles) -> Result<Self, TlsError> {
        let root_cert = files.root_cert.as_deref();
        let mode = match mode {
            // libpq: the system's authorities sign for any host, so `system` requires verify-full.
            None | Some("verify-full") if root_cert == Some("system") => SslMode::VerifyFull,
            Some(_) if root_cert == Some("system") => return Err(TlsError::WeakSystem),
            Some("disable") => SslMode::Disable,
            None | Some("allow" | "prefer") => SslMode::Prefer,
            // libpq: "if a root CA file is present, `require` behaves like `verify-ca`".
            Some("require") if root_cert.is_some() => SslMode::VerifyCa,
            Some("require") => SslMode::Require,
            Some("verify-ca") => SslMode::VerifyCa,
            Some("verify-full") => SslMode::VerifyFull,
            Some(_) => return Err(TlsError::Mode),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = verifier(mode, root_cert, &provider)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Rustls(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match files.identity()? {
            Some((chain, key)) => config
                .with_client_auth_cert(chain, key)
                .map_err(|error| TlsError::ClientCert(error.to_string()))?,
            None => config.with_no_client_auth(),
        };
        // A server that is asked without SSLRequest wants it:
        // <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL>.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Self { mode, connector: MakeRustlsConnect::new(config) })
    }

    pub(crate) fn mode(&self) -> SslMode {
        self.mode
    }

    pub(crate) fn connector(&self) -> MakeRustlsConnect {
        self.connector.clone()
    }
}

fn verifier(
    mode: SslMode,
    root_cert: Option<&str>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let algorithms = provider.signature_verification_algorithms;
    let checked = match mode {
        SslMode::Disable | SslMode::Prefer | SslMode::Require => None,
        SslMode::VerifyCa | SslMode::VerifyFull => Some(
            WebPkiServerVerifier::builder_with_provider(
                Arc::new(authorities(root_cert)?),
                provider.clone(),
            )
            .build()
            .map_err(|error| TlsError::Rustls(error.to_string()))?,
        ),
    };
    Ok(match checked {
        Some(full) if mode == SslMode::VerifyFull => full,
        chain => Arc::new(AnyHost { chain, algorithms }),
    })
}

fn authorities(root_cert: Option<&str>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    match root_cert.filter(|path| *path != "system") {
        Some(path) => {
            let unusable = |reason: String| TlsError::RootCert { path: path.to_owned(), reason };
            for certificate in
                CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?
            {
                let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
                store.add(certificate).map_err(|error| unusable(error.to_string()))?;
            }
            if store.is_empty() {
                return Err(unusable("it holds no certificate".to_owned()));
            }
        }
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                return Err(TlsError::NoAuthorities);
            }
        }
    }
    Ok(store)
}

/// Checks the server's key and, with `chain`, who signed its certificate, but not the host: libpq's
/// `require` (no chain) and `verify-ca`.
#[derive(Debug)]
struct AnyHost {
    chain: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};

        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                NotValidForName | NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
