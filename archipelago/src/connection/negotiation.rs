//! Negotiates TLS with a server, as `sslmode` wants it, and hands the stream over to tokio-postgres.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::ssl::{self, SslRef};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio_openssl::SslStream;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_util::either::Either;

use super::socket::Socket;
use super::tap::Tap;
use crate::error::SessionRecord;
use crate::settings::{DatabaseUrl, TlsError, reasons};

/// A stream that records what the server says: decrypted, or plain text.
pub(super) type Stream = Tap<Either<SslStream<BufReader<Socket>>, Socket>>;

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub(super) enum NegotiationError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("server does not support TLS")]
    NotOffered,
    /// TLS was offered, and the handshake failed, or what it showed is not accepted.
    #[error("error performing TLS handshake: {0}")]
    Handshake(String),
    /// The files of a URL, which were good at the start.
    #[error("the URL {0}")]
    Files(#[from] TlsError),
}

/// Negotiates for a session with the server whose certificate must be for `name`.
pub(super) async fn negotiate(
    mut socket: Socket,
    url: &DatabaseUrl,
    name: &str,
    mode: SslMode,
    session: Arc<SessionRecord>,
) -> Result<Stream, NegotiationError> {
    let is_direct = url.config().get_ssl_negotiation() == SslNegotiation::Direct;
    let is_encrypted = mode != SslMode::Disable && (is_direct || offers_tls(&mut socket).await?);
    if is_encrypted {
        let encrypted = encrypt(socket, url, name, is_direct).await?;
        return Ok(Tap::new(Either::Left(encrypted), true, session));
    }
    match mode {
        SslMode::Disable | SslMode::Prefer => Ok(Tap::new(Either::Right(socket), false, session)),
        _ => Err(NegotiationError::NotOffered),
    }
}

/// Asks a server for TLS. It answers with one byte.
async fn offers_tls(socket: &mut Socket) -> io::Result<bool> {
    /// `SSLRequest`: <https://www.postgresql.org/docs/current/protocol-message-formats.html>.
    const REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

    socket.write_all(&REQUEST).await?;
    Ok(socket.read_u8().await? == b'S')
}

async fn encrypt(
    socket: Socket,
    url: &DatabaseUrl,
    name: &str,
    is_direct: bool,
) -> Result<SslStream<BufReader<Socket>>, NegotiationError> {
    let session = url.tls().session(name)?;
    // OpenSSL reads the header of each record by itself.
    let stream = SslStream::new(session, BufReader::new(socket));
    let mut stream = stream.map_err(|error| NegotiationError::Handshake(error.to_string()))?;
    if let Err(error) = Pin::new(&mut stream).connect().await {
        return Err(failed(error, stream.ssl()));
    }
    match url.tls().objection(stream.ssl(), name, is_direct) {
        Some(objection) => Err(NegotiationError::Handshake(objection)),
        None => Ok(stream),
    }
}

fn failed(error: ssl::Error, session: &SslRef) -> NegotiationError {
    let error = match error.into_io_error() {
        Ok(error) => return error.into(),
        Err(error) => error,
    };
    let verdict = session.verify_result();
    NegotiationError::Handshake(match error.ssl_error().map(reasons).unwrap_or_default() {
        // The result of a session whose certificate is not checked says what is wrong with it too.
        reasons if reasons == "certificate verify failed" => {
            format!("{reasons}: {}", verdict.error_string())
        }
        reasons if reasons.is_empty() => error.to_string(),
        reasons => reasons,
    })
}

/// Gives tokio-postgres the stream, which it takes for the outcome of `sslnegotiation=direct`.
pub(super) struct HandOver;

impl TlsConnect<Stream> for HandOver {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Ready<io::Result<Stream>>;

    fn connect(self, stream: Stream) -> Self::Future {
        ready(Ok(stream))
    }
}

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        let session = match self.stream() {
            Either::Left(encrypted) => encrypted.ssl(),
            Either::Right(_) => return ChannelBinding::none(),
        };
        server_end_point(session)
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// `tls-server-end-point`: <https://www.rfc-editor.org/rfc/rfc5929#section-4.1>. None where the
/// certificate's signature names no digest, as those of Ed25519 and RSA-PSS.
fn server_end_point(session: &SslRef) -> Option<Vec<u8>> {
    let certificate = session.peer_certificate()?;
    let algorithm = certificate.signature_algorithm().object().nid().signature_algorithms()?;
    let digest = match algorithm.digest {
        Nid::MD5 | Nid::SHA1 => MessageDigest::sha256(),
        digest => MessageDigest::from_nid(digest)?,
    };
    Some(certificate.digest(digest).ok()?.to_vec())
}
