//! Accepts the connections of one HTTP server: as many as have a place, each bounded.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{ConnectionType, HttpService, Payload, Request, Response};
use actix_server::{Server, ServerBuilder};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, apply_fn_factory, fn_service,
    map_config,
};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::http::header::{CONTENT_LENGTH, UPGRADE};
use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncWriteExt, copy, sink};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::bounded_stream::BoundedStream;
use super::exchange::{AnswerBody, Exchange};
use super::{KEEP_ALIVE, SHUTDOWN_SECONDS, UNREAD_BODY};

/// How many connections beyond the places are told that they have none; further ones wait in the
/// kernel's queue.
pub(super) const TOLD: usize = 128;

/// How long a client may take to read that it has no place.
const TELLING: Duration = Duration::from_secs(1);

const NO_PLACE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 61\r\n\
    retry-after: 1\r\n\
    connection: close\r\n\r\n\
    This instance has too many visitors. Try again in a second.\r\n";

/// A server of `listener` with `workers` threads, and `places` for connections.
pub(super) fn server<F, I, S, B>(
    listener: TcpListener,
    workers: usize,
    places: usize,
    app: F,
) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<
            Request,
            Config = AppConfig,
            Response = ServiceResponse<B>,
            Error = actix_web::Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    // `cli::serve` handles the signals. Actix alone would cut requests off at Ctrl-C.
    let builder = ServerBuilder::new()
        .workers(workers)
        .max_concurrent_connections((places + TOLD).div_ceil(workers))
        .disable_signals()
        .shutdown_timeout(SHUTDOWN_SECONDS);
    let shutdown = builder.graceful_shutdown_signal();
    let free = Arc::new(Semaphore::new(places));
    let builder = builder.listen("http", listener, move || {
        let (shutdown, free) = (shutdown.clone(), free.clone());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let shutdown = shutdown.clone();
                async move { shutdown.notified().await }
            })
            .keep_alive(KEEP_ALIVE)
            .client_disconnect_timeout(UNREAD_BODY)
            .on_connect_ext(|stream: &BoundedStream, data| {
                data.insert(stream.exchange().clone());
            })
            .h1(apply_fn_factory(map_config(app(), |()| AppConfig::default()), answer));
        fn_service(move |stream: TcpStream| {
            let place = free.clone().try_acquire_owned();
            async move {
                let Ok(place) = place else {
                    refuse(stream).await;
                    return Err(DispatchError::Io(io::ErrorKind::QuotaExceeded.into()));
                };
                let visitor = stream.peer_addr().ok();
                Ok((BoundedStream::new(stream, place), visitor))
            }
        })
        .and_then(http)
    })?;
    Ok(builder.run())
}

/// Answers one request, and tells its connection how far it is.
fn answer<S, B>(
    mut request: Request,
    app: &S,
) -> impl Future<Output = Result<Response<AnswerBody>, S::Error>> + use<S, B>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody + 'static,
{
    let exchange = request.conn_data::<Exchange>().cloned().unwrap_or_default();
    let has_body = !matches!(request.payload(), Payload::None);
    let length = request.head().headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let handling = exchange.begin(has_body, length);
    // Actix closes the connection then, or takes the body for one without an end.
    let is_upgrade = request.head().connection_type() == ConnectionType::Upgrade;
    if is_upgrade || request.head().headers().contains_key(UPGRADE) {
        exchange.note_last();
    }
    let answer = app.call(request);
    async move {
        let mut answer = match answer.await {
            Ok(answer) => Response::from(answer).map_into_boxed_body(),
            Err(error) => Response::from(error),
        };
        if exchange.is_last() {
            answer.head_mut().set_connection_type(ConnectionType::Close);
        }
        Ok(answer.map_body(|_, body| AnswerBody::new(body, handling)))
    }
}

async fn refuse(mut stream: TcpStream) {
    tracing::warn!("a connection was refused: all places are taken");
    let telling = async {
        stream.write_all(NO_PLACE).await?;
        stream.shutdown().await?;
        // The kernel drops what the client has not read where its request is not read.
        copy(&mut stream, &mut sink()).await
    };
    // A client that is gone, or slow, is not told.
    let _ = timeout(TELLING, telling).await;
}
