//! Archipelago in axum: `Reader` and `Writer` as arguments of handlers, and the layer that carries a
//! visitor's positions.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use archipelago::axum::{Key, VisitorLayer};
//! use axum::Router;
//! use axum::extract::Path;
//! use axum::routing::get;
//! use diesel::prelude::*;
//!
//! archipelago::repos! { primary home; replica near }
//!
//! diesel::table! {
//!     users (id) { id -> BigInt, name -> Text }
//! }
//!
//! type Reader = archipelago::axum::Reader<Repos>;
//! type Writer = archipelago::axum::Writer<Repos>;
//!
//! async fn show(reader: Reader, Path(id): Path<i64>) -> Result<String, archipelago::Error> {
//!     reader.replica().get_result(users::table.find(id).select(users::name)).await
//! }
//!
//! async fn create(writer: Writer, name: String) -> Result<String, archipelago::Error> {
//!     let insert = diesel::insert_into(users::table).values(users::name.eq(name));
//!     let id: i64 = writer.primary().get_result(insert.returning(users::id)).await?.value;
//!     Ok(format!("/users/{id}"))
//! }
//!
//! fn router(repos: Arc<Repos>, key: Key) -> Router {
//!     Router::new()
//!         .route("/users", axum::routing::post(create))
//!         .route("/users/{id}", get(show))
//!         // A layer goes for the routes above it.
//!         .layer(VisitorLayer::new(repos, key))
//! }
//! ```
//!
//! A handler that takes a [`Writer`] runs in the primary's region: see [writes from
//! afar](Writer#writes-from-afar).
//!
//! # The session
//!
//! The layer adds a [`Session`](crate::visitor::Session) to the extensions of the request, for
//! handlers (`Extension<Session>`), and to those of the response, for middleware around it. It tells
//! which database served the request.

mod extract;
mod failure;
mod layer;

pub use self::extract::Rejection;
pub use self::layer::{VisitorLayer, VisitorService};
pub use crate::handler::{Reader, Writer};
pub use crate::visitor::{FLY_REPLAY, Key, Keys};
