//! The files of TLS: who is trusted, what is revoked, and how this client shows who it is.

use std::path::{Path, PathBuf};
use std::{fs, io};

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    SslConnector, SslConnectorBuilder, SslFiletype, SslMethod, SslVerifyMode, SslVersion,
};
use openssl::x509::X509;
use openssl::x509::store::{X509Lookup, X509Store, X509StoreBuilder, X509StoreBuilderRef};
use openssl::x509::verify::X509VerifyFlags;

use super::TlsError;

/// The files that a URL names, or that lie where libpq looks for them, and what to do with them.
pub(super) struct Files {
    pub(super) authorities: Option<Authorities>,
    /// Lists of revoked certificates.
    revoked: Option<PathBuf>,
    revoked_folder: Option<PathBuf>,
    /// The certificate of this client with its chain, and its key.
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    key_password: Option<String>,
    oldest: Option<SslVersion>,
    newest: Option<SslVersion>,
}

/// Who may have signed the server's certificate.
pub(super) enum Authorities {
    /// Those of this machine.
    System,
    File(PathBuf),
}

impl Files {
    pub(super) fn new<'a>(
        get: &impl Fn(&'static str) -> Option<&'a str>,
        home: Option<&Path>,
    ) -> Result<Self, TlsError> {
        let own = |name: &str| {
            let path = home?.join(".postgresql").join(name);
            path.exists().then_some(path)
        };
        let named = |name: &'static str| get(name).map(PathBuf::from);
        let sends_cert = get("sslcertmode") != Some("disable");
        let revoked_folder = named("sslcrldir");
        let own_revoked = || own("root.crl").filter(|_| revoked_folder.is_none());
        Ok(Self {
            authorities: match get("sslrootcert") {
                Some("system") => Some(Authorities::System),
                Some(path) => Some(Authorities::File(path.into())),
                None => own("root.crt").map(Authorities::File),
            },
            revoked: named("sslcrl").or_else(own_revoked),
            revoked_folder,
            cert: named("sslcert").or_else(|| own("postgresql.crt")).filter(|_| sends_cert),
            key: named("sslkey").or_else(|| own("postgresql.key")),
            key_password: get("sslpassword").map(str::to_owned),
            // libpq's default.
            oldest: version(get, "ssl_min_protocol_version")?.or(Some(SslVersion::TLS1_2)),
            newest: version(get, "ssl_max_protocol_version")?,
        })
    }

    pub(super) fn connector(&self) -> Result<SslConnector, TlsError> {
        let mut builder = self.builder().map_err(|error| TlsError::OpenSsl(error.to_string()))?;
        match &self.authorities {
            None => builder.set_verify(SslVerifyMode::NONE),
            // The builder trusts them, and checks each certificate.
            Some(Authorities::System) => {}
            Some(Authorities::File(path)) => {
                let path_named = path.display().to_string();
                let unusable = |reason| TlsError::RootCert { path: path_named, reason };
                trust(&mut builder, path).map_err(unusable)?;
            }
        }
        self.refuse_revoked(&mut builder)?;
        self.identify(&mut builder).map_err(TlsError::ClientCert)?;
        Ok(builder.build())
    }

    fn builder(&self) -> Result<SslConnectorBuilder, ErrorStack> {
        let mut builder = SslConnector::builder(SslMethod::tls_client())?;
        builder.set_min_proto_version(self.oldest)?;
        builder.set_max_proto_version(self.newest)?;
        // A server that is asked without SSLRequest wants it:
        // <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL>.
        postgres_openssl::set_postgresql_alpn(&mut builder)?;
        Ok(builder)
    }

    fn refuse_revoked(&self, builder: &mut SslConnectorBuilder) -> Result<(), TlsError> {
        let store = builder.cert_store_mut();
        let unusable = |path: &Path, reason: String| TlsError::Revoked {
            path: path.display().to_string(),
            reason,
        };
        if let Some(path) = &self.revoked {
            fs::metadata(path).map_err(|error| unusable(path, error.to_string()))?;
            refuse_list(store, path).map_err(|error| unusable(path, error.to_string()))?;
        }
        if let Some(path) = &self.revoked_folder {
            fs::read_dir(path).map_err(|error| unusable(path, error.to_string()))?;
            let folder = path.display().to_string();
            refuse_folder(store, &folder).map_err(|error| unusable(path, error.to_string()))?;
        }
        Ok(())
    }

    /// Shows the server the certificate of this client.
    fn identify(&self, builder: &mut SslConnectorBuilder) -> Result<(), String> {
        let Some(cert) = &self.cert else { return Ok(()) };
        let path = self.key.as_ref().ok_or("there is no sslkey")?;
        check_secrecy(path).map_err(|error| error.to_string())?;
        let key = fs::read(path).map_err(|error| error.to_string())?;
        let key = self.private_key(&key).map_err(|error| error.to_string())?;
        let used = builder
            .set_certificate_chain_file(cert)
            .and_then(|()| builder.set_private_key(&key))
            .and_then(|()| builder.check_private_key());
        used.map_err(|error| error.to_string())
    }

    /// As libpq: PEM, with a password where it needs one; or else DER.
    fn private_key(&self, key: &[u8]) -> Result<PKey<Private>, ErrorStack> {
        let password = self.key_password.as_deref().unwrap_or_default().as_bytes();
        // Without a callback OpenSSL would ask at the terminal.
        let pem = PKey::private_key_from_pem_callback(key, |buffer| {
            let room = buffer.get_mut(..password.len());
            Ok(room.map_or(0, |room| {
                room.copy_from_slice(password);
                password.len()
            }))
        });
        pem.or_else(|error| PKey::private_key_from_der(key).map_err(|_| error))
    }
}

fn version<'a>(
    get: &impl Fn(&'static str) -> Option<&'a str>,
    parameter: &'static str,
) -> Result<Option<SslVersion>, TlsError> {
    get(parameter)
        .map(|name| match name.to_ascii_lowercase().as_str() {
            "tlsv1" => Ok(SslVersion::TLS1),
            "tlsv1.1" => Ok(SslVersion::TLS1_1),
            "tlsv1.2" => Ok(SslVersion::TLS1_2),
            "tlsv1.3" => Ok(SslVersion::TLS1_3),
            _ => Err(TlsError::Version(parameter)),
        })
        .transpose()
}

/// Trusts the certificates of a file, and no others.
fn trust(builder: &mut SslConnectorBuilder, path: &Path) -> Result<(), String> {
    let pem = fs::read(path).map_err(|error| error.to_string())?;
    let certs = X509::stack_from_pem(&pem).map_err(|error| error.to_string())?;
    if certs.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    let store = store(certs).map_err(|error| error.to_string())?;
    builder.set_cert_store(store);
    Ok(())
}

fn store(certs: Vec<X509>) -> Result<X509Store, ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    for cert in certs {
        store.add_cert(cert)?;
    }
    Ok(store.build())
}

fn refuse_list(store: &mut X509StoreBuilderRef, path: &Path) -> Result<(), ErrorStack> {
    store.add_lookup(X509Lookup::file())?.load_crl_file(path, SslFiletype::PEM)?;
    check_lists(store)
}

fn refuse_folder(store: &mut X509StoreBuilderRef, folder: &str) -> Result<(), ErrorStack> {
    store.add_lookup(X509Lookup::hash_dir())?.add_dir(folder, SslFiletype::PEM)?;
    check_lists(store)
}

fn check_lists(store: &mut X509StoreBuilderRef) -> Result<(), ErrorStack> {
    store.set_flags(X509VerifyFlags::CRL_CHECK | X509VerifyFlags::CRL_CHECK_ALL)
}

/// As libpq: a key that others may read is not used. The group may read one of root.
fn check_secrecy(key: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;

        let metadata = fs::metadata(key)?;
        let forbidden = if metadata.uid() == 0 { 0o027 } else { 0o077 };
        if metadata.mode() & forbidden != 0 {
            return Err(io::Error::other("others may read the key; run chmod 0600"));
        }
    }
    Ok(())
}
