//! The HTTP client of the measurements that do not use wrk.

use reqwest::{Client, ClientBuilder};

/// A client for plain HTTP.
///
/// Another crate enables TLS in reqwest, which then needs a cryptography provider, even for plain
/// HTTP. This installs one; it is no error if one is installed already.
pub fn client() -> ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
}
