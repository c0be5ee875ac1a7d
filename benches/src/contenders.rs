//! The contenders: programs that serve the same pages, GET `/users/{id}`, GET `/users` and POST
//! `/users`.

mod archipelago;
mod axum;
pub mod hand_written;
pub mod raw;

use std::env::{self, VarError};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::available_parallelism;
use std::time::Instant;

use ::archipelago::{Reason, RegionSet, Role, ServedBy};
use actix_web::HttpResponse;
use actix_web::dev::Server;
use actix_web::http::header::ContentType;
use archipelago_app::repos::Repos;
use archipelago_app::views::{DatabaseTiming, Layout};
use askama::Template;
use clap::ValueEnum;

use crate::Failed;
use crate::child::{Running, announce, wait_for_stop};

/// A program that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Contender {
    /// What an expert would write: Actix, diesel-async and bb8; two pools of 8 for each worker.
    HandWritten,
    /// Only tokio-postgres: one pipelined connection to each server for each worker.
    Raw,
    /// The same with axum instead of Actix.
    Axum,
    /// The app of this repository.
    Archipelago,
    /// The app, which checks out a connection for each read instead of pipelining.
    ArchipelagoCheckout,
}

/// The most connections to one server, of all workers together: as many as the hand-written program
/// may open. Actix has a worker for each core.
#[must_use]
pub fn pool_size() -> u32 {
    let workers = available_parallelism().map_or(1, usize::from);
    hand_written::POOL_SIZE.saturating_mul(u32::try_from(workers).unwrap_or(1))
}

/// The environment variable with the primary's URL.
pub const PRIMARY_URL: &str = "DATABASE_URL";

/// The region of the replica, in which every contender runs.
#[must_use]
pub fn replica_region() -> &'static str {
    Repos::REGIONS.iter().find(|info| info.role == Role::Replica).unwrap_or(Repos::PRIMARY).code
}

/// The environment variable with the replica's URL.
#[must_use]
pub fn replica_url() -> String {
    ::archipelago::override_variable(replica_region())
}

impl Contender {
    /// The name in arguments.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HandWritten => "hand-written",
            Self::Raw => "raw",
            Self::Axum => "axum",
            Self::Archipelago => "archipelago",
            Self::ArchipelagoCheckout => "archipelago-checkout",
        }
    }

    /// Whether the ratio to `yardstick` is worth a row.
    #[must_use]
    pub fn is_compared_to(self, yardstick: Self) -> bool {
        self != yardstick && self != Self::HandWritten
    }

    /// The arguments with which this program serves as the contender.
    #[must_use]
    pub fn arguments(self) -> [&'static str; 2] {
        ["serve", self.name()]
    }

    /// Starts the contender in a process of its own.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(self, vars: &[(String, String)]) -> Result<Running, Failed> {
        Running::start(&self.arguments(), vars).await
    }

    /// In the child: serves on a free port until the parent wants it to stop.
    ///
    /// # Errors
    /// When it cannot start.
    pub async fn serve(self) -> Result<(), Failed> {
        if matches!(self, Self::Archipelago | Self::ArchipelagoCheckout) {
            return archipelago::serve(self == Self::Archipelago).await;
        }
        let (primary, replica) = (env::var(PRIMARY_URL)?, env::var(replica_url())?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let server: Server = match self {
            Self::Axum => {
                let server = axum::listen(listener, &primary, &replica).await?;
                announce(address)?;
                return tokio::select! {
                    ended = server => Ok(ended?),
                    () = wait_for_stop() => Ok(()),
                };
            }
            Self::Raw => raw::listen(listener, primary, replica)?,
            _ => hand_written::listen(listener, primary, replica)?,
        };
        serve_until_stopped(server, address).await
    }
}

/// In the child: announces the address and serves until the parent wants it to stop.
///
/// # Errors
/// When the parent has ended, or the server ends by itself.
pub async fn serve_until_stopped(server: Server, address: SocketAddr) -> Result<(), Failed> {
    let handle = server.handle();
    let serving = tokio::spawn(server);
    announce(address)?;
    wait_for_stop().await;
    handle.stop(false).await;
    Ok(serving.await??)
}

fn env_var(name: &str) -> Result<String, VarError> {
    env::var(name)
}

/// The app's layout of a page whose query began at `start`.
pub fn layout(start: Instant) -> Layout<'static> {
    let served_by = ServedBy::new(replica_region(), Role::Replica, Reason::Local);
    let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
    let database = Some(DatabaseTiming { served_by, milliseconds });
    Layout { flash: None, database, instance: replica_region() }
}

/// The response with a page.
///
/// # Errors
/// When the page cannot be rendered.
pub fn page(template: &impl Template) -> actix_web::Result<HttpResponse> {
    let body = template.render().map_err(actix_web::error::ErrorInternalServerError)?;
    Ok(HttpResponse::Ok().content_type(ContentType::html()).body(body))
}
