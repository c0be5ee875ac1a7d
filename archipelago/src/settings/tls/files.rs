//! The files of TLS: who is trusted, what is revoked, and how this client shows who it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslFiletype, SslRef};
use openssl::x509::X509;
use openssl::x509::store::{X509Lookup, X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;

use super::{TlsError, reasons, refused};

/// The files that a URL names, or that lie where libpq looks for them.
pub(super) struct Files {
    pub(super) authorities: Option<Authorities>,
    /// Lists of revoked certificates: a file, a folder.
    crl: Option<PathBuf>,
    crl_dir: Option<PathBuf>,
    /// The certificate of this client with its chain, and its key.
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    key_password: Option<String>,
}

/// Who may have signed the server's certificate.
pub(super) enum Authorities {
    /// Those of this machine, as they are at the start.
    System,
    File(PathBuf),
}

impl Files {
    pub(super) fn new<'a>(
        get: &impl Fn(&'static str) -> Option<&'a str>,
        home: Option<&Path>,
    ) -> Self {
        let own = |name: &str| {
            let path = home?.join(".postgresql").join(name);
            path.exists().then_some(path)
        };
        let named = |name: &'static str| get(name).map(PathBuf::from);
        let authorities = match get("sslrootcert") {
            Some("system") => Some(Authorities::System),
            Some(path) => Some(Authorities::File(path.into())),
            None => own("root.crt").map(Authorities::File),
        };
        let sends_cert = get("sslcertmode") != Some("disable");
        let crl_dir = named("sslcrldir");
        // libpq looks for it beside a file of authorities only.
        let looks_for_crl = crl_dir.is_none() && matches!(authorities, Some(Authorities::File(_)));
        let own_crl = || own("root.crl").filter(|_| looks_for_crl);
        Self {
            authorities,
            crl: named("sslcrl").or_else(own_crl),
            crl_dir,
            cert: named("sslcert").or_else(|| own("postgresql.crt")).filter(|_| sends_cert),
            key: named("sslkey").or_else(|| own("postgresql.key")),
            key_password: get("sslpassword").map(str::to_owned),
        }
    }

    /// Has a session trust, refuse and show what the files say now.
    pub(super) fn configure(&self, session: &mut SslRef) -> Result<(), TlsError> {
        if let Some(Authorities::File(path)) = &self.authorities {
            let unusable = |reason| TlsError::RootCert { path: path.display().to_string(), reason };
            let authorities = authorities(path).map_err(unusable)?;
            let store = self.store(authorities)?;
            session.set_verify_cert_store(store).map_err(|error| refused(&error))?;
        }
        if let Some(cert) = &self.cert {
            self.set_client_cert(session, cert).map_err(TlsError::ClientCert)?;
        }
        Ok(())
    }

    fn store(&self, authorities: Vec<X509>) -> Result<X509Store, TlsError> {
        let mut store = X509StoreBuilder::new().map_err(|error| refused(&error))?;
        for authority in authorities {
            store.add_cert(authority).map_err(|error| refused(&error))?;
        }
        let unusable = |path: &Path, reason: String| TlsError::Revoked {
            path: path.display().to_string(),
            reason,
        };
        if let Some(path) = &self.crl {
            check_file(path).map_err(|error| unusable(path, error.to_string()))?;
            let lookup = store.add_lookup(X509Lookup::file()).map_err(|error| refused(&error))?;
            let loaded = lookup.load_crl_file(path, SslFiletype::PEM);
            loaded.map_err(|error| unusable(path, reasons(&error)))?;
        }
        if let Some(path) = &self.crl_dir {
            fs::read_dir(path).map_err(|error| unusable(path, error.to_string()))?;
            let lookup =
                store.add_lookup(X509Lookup::hash_dir()).map_err(|error| refused(&error))?;
            let added = lookup.add_dir(&path.display().to_string(), SslFiletype::PEM);
            added.map_err(|error| unusable(path, reasons(&error)))?;
        }
        if self.crl.is_some() || self.crl_dir.is_some() {
            let flags = X509VerifyFlags::CRL_CHECK | X509VerifyFlags::CRL_CHECK_ALL;
            store.set_flags(flags).map_err(|error| refused(&error))?;
        }
        Ok(store.build())
    }

    /// Shows the server the certificate of this client.
    fn set_client_cert(&self, session: &mut SslRef, cert: &Path) -> Result<(), String> {
        let path = self.key.as_ref().ok_or("there is no sslkey")?;
        check_file(cert).map_err(|error| error.to_string())?;
        check_permissions(path).map_err(|error| error.to_string())?;
        let key = read(path).map_err(|error| error.to_string())?;
        let key = self.private_key(&key).map_err(|error| reasons(&error))?;
        let used = session
            .set_certificate_chain_file(cert)
            // Fails where the key is another one's.
            .and_then(|()| session.set_private_key(&key));
        used.map_err(|error| reasons(&error))
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

fn authorities(path: &Path) -> Result<Vec<X509>, String> {
    let pem = read(path).map_err(|error| error.to_string())?;
    let authorities = X509::stack_from_pem(&pem).map_err(|error| reasons(&error))?;
    if authorities.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    Ok(authorities)
}

/// Opening a pipe would wait for another program.
fn check_file(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.is_file() {
        return Ok(());
    }
    Err(io::Error::other("it is not a regular file"))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    check_file(path)?;
    fs::read(path)
}

/// As libpq: refuses a key that others may use. Its group may read one of root.
fn check_permissions(key: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;

        let metadata = fs::metadata(key)?;
        let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
        if metadata.mode() & forbidden != 0 {
            return Err(io::Error::other("others may read the key; run chmod 0600"));
        }
    }
    Ok(())
}
