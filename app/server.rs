//! The HTTP servers of one instance: the pages with all their middleware, and the metrics on a port
//! of their own. The program and the tests start the same ones.

mod body;
mod bounded_stream;
mod connections;
mod cross_site;
mod draining;
mod exchange;
mod own_task;
mod security_headers;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServerHandle, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use archipelago::actix::{Keys, answer_for};
use archipelago::{ServedBy, SettingsError};
use rlimit::Resource;
use tokio::net::TcpSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use self::body::{bound_body, form_error};
use self::connections::TOLD;
use self::cross_site::refuse_cross_site_writes;
use self::draining::{Draining, close_while_draining};
use self::own_task::in_own_task;
use self::security_headers::add_security_headers;
use crate::logging::request_span;
use crate::metrics::{self, record_request};
use crate::migrations;
use crate::overview::Overview;
use crate::pages::error_pages::error_pages;
use crate::pages::regions::update;
use crate::repos::Repos;
use crate::routes::routes;
use crate::settings::Settings;

/// The largest form body, in bytes. A user's form is far smaller.
const MAX_FORM: usize = 16 * 1024;

/// How many connections the kernel queues until the server accepts them. The standard library's 128
/// are too few for a burst: a client whose connection is dropped retries only after a second.
const BACKLOG: u32 = 4096;

/// How long a connection is kept between two requests: longer than load balancers keep theirs, so that
/// none sends a request on a connection that closes at that moment. AWS's keep theirs for 60 s:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html>.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a body is read and dropped whose request has its answer, as Actix's own `HttpServer` does:
/// with unread bytes the kernel would reset the connection, and the client might lose the answer.
const UNREAD_BODY: Duration = Duration::from_secs(1);

/// How many connections of visitors one process serves, if it may open as many files. An idle one takes
/// 7 KiB of memory, see docs/reliability.md.
const PLACES: usize = 4096;

/// How many connections the metrics' port serves.
const METRICS_PLACES: usize = 32;

/// Connections to one server besides those of its pool: its monitor's, and one that watches the primary.
pub(crate) const MONITORS: usize = 2;

/// Open files besides connections and those of the threads that serve: listeners, the monitor, names
/// and TLS files.
const OTHER_FILES: usize = 64;

/// Open files of one thread that serves: the queues and wake-ups of its runtime.
const FILES_OF_A_THREAD: usize = 5;

/// Actix takes no more.
const MOST_WORKERS: usize = 512;

/// How long requests in flight may take to end after a signal: longer than one statement may take.
const SHUTDOWN_SECONDS: u64 = 15;

/// An instance that serves.
pub struct Running {
    /// The address of the pages.
    pub address: SocketAddr,
    /// The address of the metrics.
    pub metrics_address: SocketAddr,
    repos: Arc<Repos>,
    overview: Arc<Overview>,
    draining: Arc<Draining>,
    /// One permit for each thread that serves.
    ready: Arc<Semaphore>,
    threads: u32,
    pages: ServerHandle,
    metrics: ServerHandle,
    tasks: [JoinHandle<io::Result<()>>; 2],
}

/// Why the servers do not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `HOST` is no address of this machine.
    #[error("cannot listen on {address} ({reason}); set HOST to an address of this machine")]
    NotHere {
        address: SocketAddr,
        /// What the operating system said.
        reason: io::Error,
    },
    /// The port is taken, or may not be used.
    #[error("cannot listen on {address} ({reason}); set {variable} to a port that is free")]
    Listen {
        address: SocketAddr,
        /// What the operating system said.
        reason: io::Error,
        /// The variable that sets the port.
        variable: &'static str,
    },
    /// The limit of open files leaves no place for visitors.
    #[error(
        "this process may open {limit} files, and needs {needed} besides those of its visitors; raise the limit (ulimit -n)"
    )]
    FewFiles { limit: usize, needed: usize },
    /// The threads that serve did not start, or ended.
    #[error("the server ended: {0}")]
    Ended(#[source] io::Error),
    /// The operating system gives no more sockets.
    #[error("cannot listen: {0}")]
    Socket(#[from] io::Error),
    /// The settings do not fit the regions of this build.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

/// Starts both servers. Does not wait for the databases: the workers connect to them while they
/// serve.
///
/// # Panics
/// Outside a Tokio runtime, which runs the servers.
pub fn start(settings: &Settings) -> Result<Running, StartError> {
    let (address, pages) = listen(settings, settings.port, "PORT")?;
    let (metrics_address, metrics) = listen(settings, settings.metrics_port, "METRICS_PORT")?;
    let workers = thread::available_parallelism().map_or(2, usize::from).min(MOST_WORKERS);
    let places = places(settings, workers)?;
    // A replica with older tables would fail queries, or answer them wrongly: it serves no reads.
    let required = if settings.checks_migrations { migrations::versions() } else { vec![] };
    let databases = settings.databases.clone().requiring_migrations(required.clone());
    let repos = Arc::new(Repos::new(&databases)?);
    let overview = Overview::start(repos.clone(), required, update);
    let draining = Arc::new(Draining::default());
    let ready = Arc::new(Semaphore::new(0));
    let (keys, shared) =
        (settings.keys.clone(), (repos.clone(), overview.clone(), draining.clone()));
    let is_ready = ready.clone();
    let pages = connections::server(pages, workers, places, move || {
        is_ready.add_permits(1);
        app(shared.clone(), keys.clone())
    })?;
    let (shared_repos, is_ready) = (repos.clone(), ready.clone());
    let metrics = connections::server(metrics, 1, METRICS_PLACES, move || {
        is_ready.add_permits(1);
        App::new()
            .app_data(web::Data::from(shared_repos.clone()))
            .route("/metrics", web::get().to(metrics::page))
            .route("/metrics", web::head().to(metrics::page))
    })?;
    let handles = [pages.handle(), metrics.handle()];
    let tasks = [tokio::spawn(pages), tokio::spawn(metrics)];
    let [pages, metrics] = handles;
    let threads = u32::try_from(workers + 1).expect("a machine has few processors");
    Ok(Running {
        address,
        metrics_address,
        repos,
        overview,
        draining,
        ready,
        threads,
        pages,
        metrics,
        tasks,
    })
}

/// For how many visitors' connections this process may open files.
fn places(settings: &Settings, workers: usize) -> Result<usize, StartError> {
    let limit = usize::try_from(raise_open_files()?).unwrap_or(usize::MAX);
    let databases = Repos::REGIONS.len() * (settings.databases.pool_size() as usize + MONITORS);
    let threads = FILES_OF_A_THREAD * (workers + 1);
    let needed = OTHER_FILES + threads + databases + METRICS_PLACES + 2 * TOLD;
    match limit.saturating_sub(needed) {
        0 => Err(StartError::FewFiles { limit, needed }),
        places => Ok(places.min(PLACES)),
    }
}

/// Raises the limit of open files as far as it goes, and returns it: some systems allow fewer by default
/// than a server needs.
pub(crate) fn raise_open_files() -> io::Result<u64> {
    rlimit::increase_nofile_limit(u64::MAX).or_else(|error| {
        tracing::warn!(%error, "cannot raise the limit of open files");
        Resource::NOFILE.get_soft()
    })
}

impl Running {
    /// Waits until every thread serves.
    pub async fn started(&mut self) -> Result<(), StartError> {
        let (ready, threads) = (self.ready.clone(), self.threads);
        tokio::select! {
            error = self.ended() => Err(error),
            _ = ready.acquire_many(threads) => Ok(()),
        }
    }

    /// Waits until a server ends though it was not stopped. Then none of them can be stopped.
    pub async fn ended(&mut self) -> StartError {
        let [pages, metrics] = &mut self.tasks;
        let ended = tokio::select! {
            ended = pages => ended,
            ended = metrics => ended,
        };
        StartError::Ended(match ended {
            Ok(Ok(())) => io::Error::other("it was stopped"),
            Ok(Err(error)) => error,
            Err(error) => io::Error::other(error),
        })
    }

    /// The database that serves this instance's reads now.
    pub(crate) fn reads_from(&self) -> ServedBy {
        self.repos.replica().served_by()
    }

    /// Closes each kept connection with its next answer from now on, and serves as long as `notice`, so
    /// that busy clients are told before [`stop`](Self::stop).
    pub async fn drain(&self, notice: Duration) {
        self.draining.begin();
        self.overview.stop();
        sleep(notice).await;
    }

    /// Accepts no more requests, finishes those in flight, closes the idle connections, and those to
    /// the databases.
    pub async fn stop(self) {
        self.overview.stop();
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

/// The pages with their middleware. A request passes the wrappers from the last one to the first
/// one.
fn app(
    (repos, overview, draining): (Arc<Repos>, Arc<Overview>, Arc<Draining>),
    keys: Keys,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let app = App::new()
        .configure(archipelago::actix::configure(repos, keys))
        .app_data(web::Data::from(overview))
        .app_data(web::Data::from(draining))
        .app_data(web::FormConfig::default().limit(MAX_FORM).error_handler(form_error))
        .configure(routes)
        .wrap(from_fn(refuse_cross_site_writes))
        .wrap(from_fn(bound_body))
        .wrap(from_fn(in_own_task))
        .wrap(from_fn(error_pages))
        .wrap(from_fn(answer_for))
        .wrap(from_fn(add_security_headers))
        .wrap(from_fn(close_while_draining))
        .wrap(from_fn(record_request))
        .wrap(from_fn(request_span));
    #[cfg(feature = "otlp")]
    let app = app.wrap(from_fn(crate::traces::trace_request));
    app
}

/// Binds a port before anything else starts, so that a taken one is reported at once, with the
/// `variable` that sets it. Needs a Tokio runtime.
pub(crate) fn listen(
    settings: &Settings,
    port: u16,
    variable: &'static str,
) -> Result<(SocketAddr, TcpListener), StartError> {
    let address = SocketAddr::new(settings.host, port);
    let bound = bind(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
    bound.map_err(|reason| match reason.kind() {
        io::ErrorKind::AddrNotAvailable => StartError::NotHere { address, reason },
        _ => StartError::Listen { address, reason, variable },
    })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As the standard library does: a restart need not wait until closed connections have left
    // TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}
