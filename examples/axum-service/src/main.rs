//! Accounts and transfers between them, which read from the nearest replica.
//!
//! ```sh
//! export DATABASE_URL=postgres://app@localhost/app SECRET_KEY=$(openssl rand -hex 32)
//! psql $DATABASE_URL -f schema.sql
//! cargo run
//! ```

mod accounts;
mod failure;
mod reports;
mod repos;
mod schema;

use std::sync::Arc;

use archipelago::Settings;
use archipelago::axum::{Keys, VisitorLayer};
use axum::Router;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::repos::Repos;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let settings = Settings::from_env::<Repos>()?;
    let keys = Keys::from_env()?;
    let repos = Arc::new(Repos::connect(&settings).await?);
    let port = std::env::var("PORT").unwrap_or("8080".to_owned()).parse::<u16>()?;

    let router = Router::new()
        .route("/accounts", post(accounts::open))
        .route("/accounts/{id}", get(accounts::show))
        .route("/transfers", post(accounts::transfer))
        .route("/reports/overview", get(reports::overview))
        .route("/reports/payers", get(reports::payers))
        .layer(VisitorLayer::new(repos.clone(), keys));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);

    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    axum::serve(listener, router).with_graceful_shutdown(stop).await?;
    repos.shutdown().await;
    Ok(())
}
