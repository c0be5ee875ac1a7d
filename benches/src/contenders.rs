//! The programs that are compared: each serves GET `/users/{id}`, GET `/users` and POST `/users`, with the same bytes.

mod archipelago;
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
use crate::child::{announce, told_to_stop};

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Contender {
    /// What an expert would write: Actix, diesel-async and bb8, two pools of 8 for each worker.
    HandWritten,
    /// tokio-postgres itself: one pipelined connection to each server for each worker.
    Raw,
    /// The app of this repository.
    Archipelago,
    /// The same, with each read on a connection that it checks out.
    ArchipelagoCheckout,
}

/// Connections of all workers together, as many as the hand-written program may open: Actix has a worker for each core.
#[must_use]
pub fn pool_size() -> u32 {
    let workers = available_parallelism().map_or(1, usize::from);
    hand_written::POOL_SIZE.saturating_mul(u32::try_from(workers).unwrap_or(1))
}

/// The variable with the primary's URL.
pub const PRIMARY_URL: &str = "DATABASE_URL";

/// The region of the replica: every contender runs there.
#[must_use]
pub fn replica_region() -> &'static str {
    Repos::REGIONS.iter().find(|info| info.role == Role::Replica).unwrap_or(Repos::PRIMARY).code
}

/// The variable with the replica's URL.
#[must_use]
pub fn replica_url() -> String {
    ::archipelago::override_variable(replica_region())
}

impl Contender {
    /// Its name, as in arguments.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HandWritten => "hand-written",
            Self::Raw => "raw",
            Self::Archipelago => "archipelago",
            Self::ArchipelagoCheckout => "archipelago-checkout",
        }
    }

    /// Whether a ratio to `yardstick` says something.
    #[must_use]
    pub fn is_compared_to(self, yardstick: Self) -> bool {
        self != yardstick && self != Self::HandWritten
    }

    /// Serves on a free port, which it announces, until told to stop.
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
            Self::Raw => raw::listen(listener, primary, replica)?,
            _ => hand_written::listen(listener, primary, replica)?,
        };
        until_told(server, address).await
    }
}

/// In the child: serves until told to stop.
///
/// # Errors
/// When there is nobody to tell the address, or the server ends by itself.
pub async fn until_told(server: Server, address: SocketAddr) -> Result<(), Failed> {
    let handle = server.handle();
    let serving = tokio::spawn(server);
    announce(address)?;
    told_to_stop().await;
    handle.stop(false).await;
    Ok(serving.await??)
}

fn env_var(name: &str) -> Result<String, VarError> {
    env::var(name)
}

/// The layout of a page whose query began at `start`, as the app has it.
pub fn layout(start: Instant) -> Layout<'static> {
    let served_by = ServedBy {
        region: replica_region(),
        role: Role::Replica,
        reason: Reason::Local,
        stale: None,
    };
    let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
    let database = Some(DatabaseTiming { served_by, milliseconds });
    Layout { flash: None, database, instance: replica_region() }
}

/// A page as an answer.
///
/// # Errors
/// When it cannot be rendered.
pub fn page(template: &impl Template) -> actix_web::Result<HttpResponse> {
    let body = template.render().map_err(actix_web::error::ErrorInternalServerError)?;
    Ok(HttpResponse::Ok().content_type(ContentType::html()).body(body))
}
