//! One place wires the app together: the program starts it here, and the tests start the same.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServerHandle, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::{App, HttpServer, web};
use archipelago::actix::{Key, answer_for};
use archipelago::{ServedBy, SettingError};
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

use crate::log::request_span;
use crate::metrics::{self, count_requests};
use crate::migrations;
use crate::origin::same_site_writes;
use crate::pages::failure::error_pages;
use crate::repos::Repos;
use crate::routes::routes;
use crate::settings::Settings;

/// Everything a page may load comes from here, and there is no script.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A user's form is far smaller.
const MAX_FORM: usize = 16 * 1024;

/// Connections that may wait to be taken. The standard library's 128 are fewer than a crowd brings at once, and who finds no room
/// tries again after a second.
const BACKLOG: u32 = 4096;

/// For requests in flight to end after a signal: longer than one statement may take.
const SHUTDOWN_SECONDS: u64 = 15;

/// The app, listening.
pub struct Running {
    /// Where the pages are.
    pub address: SocketAddr,
    /// Where the metrics are.
    pub metrics_address: SocketAddr,
    repos: Arc<Repos>,
    pages: ServerHandle,
    metrics: ServerHandle,
    tasks: [JoinHandle<io::Result<()>>; 2],
}

/// Why the app does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Something else listens there.
    #[error("cannot listen on {address} ({reason}); set {variable} to a port that is free")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the operating system said.
        reason: io::Error,
        /// The variable that names the port.
        variable: &'static str,
    },
    /// The operating system gives no more sockets.
    #[error("cannot listen: {0}")]
    Socket(#[from] io::Error),
    /// The settings were made for other regions.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

/// Makes the repos and listens. The workers open their connections while they serve already.
///
/// # Errors
/// When a port is taken.
///
/// # Panics
/// Outside a Tokio runtime, which runs the servers.
pub fn start(settings: &Settings) -> Result<Running, StartError> {
    let (address, pages) = listen(settings, settings.port, "PORT")?;
    let (metrics_address, metrics) = listen(settings, settings.metrics_port, "METRICS_PORT")?;
    let databases = settings.databases.clone();
    // A database with older tables would fail every query, or worse.
    let databases = migrations::newest()
        .iter()
        .fold(databases, |databases, newest| databases.requiring_migration(newest));
    let repos = Arc::new(Repos::new(&databases)?);
    let (key, set) = (settings.key.0.clone(), repos.clone());
    // Signals stop the whole program in order, in `cli::serve`; Actix alone would cut requests off at Ctrl-C.
    let pages = HttpServer::new(move || app(set.clone(), key.clone()))
        .disable_signals()
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .listen(pages)?
        .run();
    let set = repos.clone();
    let metrics = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::from(set.clone()))
            .route("/metrics", web::get().to(metrics::page))
    })
    .workers(1)
    .disable_signals()
    .listen(metrics)?
    .run();
    let handles = [pages.handle(), metrics.handle()];
    let tasks = [tokio::spawn(pages), tokio::spawn(metrics)];
    let [pages, metrics] = handles;
    Ok(Running { address, metrics_address, repos, pages, metrics, tasks })
}

impl Running {
    /// Who serves this instance's reads.
    #[must_use]
    pub fn reads_from(&self) -> ServedBy {
        self.repos.replica().served_by()
    }

    /// Takes no more requests, finishes those in flight, and closes the repos.
    pub async fn stop(self) {
        self.pages.stop(true).await;
        self.metrics.stop(false).await;
        for task in self.tasks {
            match task.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a server ended with an error"),
                Err(error) => tracing::error!(%error, "a server's task ended early"),
            }
        }
        self.repos.shutdown().await;
    }
}

fn app(
    repos: Arc<Repos>,
    key: Key,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    // The last wrapped is the first to see a request.
    App::new()
        .configure(archipelago::actix::configure(repos, key))
        .app_data(web::FormConfig::default().limit(MAX_FORM))
        .configure(routes)
        .wrap(from_fn(same_site_writes))
        .wrap(from_fn(error_pages))
        .wrap(from_fn(answer_for))
        .wrap(
            DefaultHeaders::new()
                .add(("content-security-policy", CONTENT_SECURITY_POLICY))
                .add(("x-content-type-options", "nosniff"))
                .add(("referrer-policy", "same-origin"))
                .add(("cross-origin-opener-policy", "same-origin")),
        )
        .wrap(from_fn(count_requests))
        .wrap(from_fn(request_span))
}

/// Listens before anything else starts, so that a taken port is reported at once, by the variable that names it. Needs a Tokio
/// runtime.
///
/// # Errors
/// When the port is taken.
pub fn listen(
    settings: &Settings,
    port: u16,
    variable: &'static str,
) -> Result<(SocketAddr, TcpListener), StartError> {
    let address = SocketAddr::new(settings.host, port);
    let bound = bind(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
    bound.map_err(|reason| StartError::Listen { address, reason, variable })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As the standard library does: a restart need not wait for the last connections to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}
