//! Archipelago in Actix: `Reader` and `Writer` as arguments of handlers, and the headers that name
//! the database behind an answer.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use actix_web::middleware::from_fn;
//! use actix_web::{App, HttpResponse, web};
//! use archipelago::actix::{self, Key};
//! use diesel::prelude::*;
//!
//! archipelago::repos! { primary home; replica near }
//!
//! diesel::table! {
//!     users (id) { id -> BigInt, name -> Text }
//! }
//!
//! type Reader = actix::Reader<Repos>;
//!
//! async fn show(reader: Reader, id: web::Path<i64>) -> Result<String, archipelago::Error> {
//!     reader.replica().get_result(users::table.find(*id).select(users::name)).await
//! }
//!
//! async fn names(reader: Reader) -> Result<HttpResponse, archipelago::Error> {
//!     let names: Vec<String> = reader.replica().load(users::table.select(users::name)).await?;
//!     Ok(HttpResponse::Ok().body(names.join("\n")))
//! }
//!
//! fn configure(repos: Arc<Repos>, key: Key) {
//!     let app = App::new()
//!         .configure(actix::configure(repos, key))
//!         .wrap(from_fn(actix::answer_for))
//!         .route("/names", web::get().to(names))
//!         .route("/users/{id}", web::get().to(show));
//! }
//! ```
//!
//! A handler that takes a [`Writer`] runs in the primary's region: see [writes from
//! afar](Writer#writes-from-afar).

mod extract;
mod failure;
mod middleware;
mod session;

use std::sync::Arc;

use actix_web::web::{Data, ServiceConfig};
use tokio::runtime::Handle;

pub use self::middleware::{answer_for, is_secure};
pub use self::session::session_of;
pub use crate::handler::{Reader, Writer};
use crate::repo_set::RepoSet;
use crate::visitor::Signer;
pub use crate::visitor::{FLY_REPLAY, Key, Keys};

/// Registers the repos, and the keys that sign the visitors' positions. For
/// [`App::configure`](actix_web::App::configure).
///
/// Every worker of the server calls this, and begins to open its own connections to the databases
/// that it uses first. An app with several sets of repos calls it for each, with the same keys: a
/// visitor's positions are kept for each database apart.
pub fn configure<R: RepoSet>(
    repos: Arc<R>,
    keys: impl Into<Keys>,
) -> impl FnOnce(&mut ServiceConfig) {
    let signer = Signer::new(keys);
    move |app| {
        if let Ok(runtime) = Handle::try_current() {
            let repos = repos.clone();
            runtime.spawn(async move { repos.warm_up().await });
        }
        app.app_data(Data::from(repos)).app_data(Data::new(signer));
    }
}
