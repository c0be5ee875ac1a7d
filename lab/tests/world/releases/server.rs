//! Serves releases on 127.0.0.1: as a mirror, and as GitHub behind a proxy that terminates TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, ServerConfig, pki_types::PrivateKeyDer};

use super::Releases;

/// Stops when it is dropped.
pub struct Server {
    pub address: SocketAddr,
    /// In PEM. A client that trusts it takes this server for GitHub.
    pub certificate: String,
    accepting: JoinSet<()>,
}

impl Server {
    pub async fn start(releases: Releases) -> Self {
        let made =
            rcgen::generate_simple_self_signed(["api.github.com", "github.com"].map(str::to_owned))
                .unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let config =
            ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![made.cert.der().clone()], key)
                .unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let releases = Arc::new(releases);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, address, tls.clone(), releases.clone()));
            }
        });
        Self { address, certificate: made.cert.pem(), accepting }
    }

    /// Stops the server, so that connections to its address are refused.
    pub async fn stop(&mut self) {
        self.accepting.shutdown().await;
    }
}

async fn serve(stream: TcpStream, address: SocketAddr, tls: TlsAcceptor, releases: Arc<Releases>) {
    let mut stream = BufReader::new(stream);
    let asked = request(&mut stream).await;
    match asked.strip_prefix("CONNECT ") {
        None => {
            answer(&mut stream, &asked, "/releases", &format!("http://{address}"), &releases).await;
        }
        Some(host) => {
            assert!(
                host.starts_with("api.github.com:443 ") || host.starts_with("github.com:443 "),
                "{host}"
            );
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let mut stream = BufReader::new(tls.accept(stream).await.unwrap());
            let asked = request(&mut stream).await;
            let listing = "/repos/theseus-rs/postgresql-binaries/releases";
            let base = "https://github.com/theseus-rs/postgresql-binaries/releases/download/some";
            answer(&mut stream, &asked, listing, base, &releases).await;
        }
    }
}

/// Reads the head of a request. No request here has a body.
async fn request(stream: &mut (impl AsyncBufReadExt + Unpin)) -> String {
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") && stream.read_line(&mut request).await.unwrap() > 0 {}
    request
}

async fn answer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &str,
    listing: &str,
    base: &str,
    releases: &Releases,
) {
    let target = request.split(' ').nth(1).unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let name = path.rsplit('/').next().unwrap();
    let body = if path == listing {
        let page = query.split('&').find_map(|pair| pair.strip_prefix("page=")).unwrap();
        Some(releases.page(page.parse().unwrap(), base))
    } else {
        releases.files.get(name).cloned()
    };
    let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
    let body = body.unwrap_or_default();
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let sent =
        if releases.breaks && name == releases.archive { &body[..body.len() / 2] } else { &body };
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(sent).await.unwrap();
    stream.shutdown().await.unwrap();
}
