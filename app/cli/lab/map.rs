//! The map of the lab: shows where each request goes, and breaks what is clicked.
//!
//! It is a server of its own on 127.0.0.1, which the edge shows under its own address, so that the page
//! can visit the site. A request needs the token, which is a part of the path.

mod visits;
mod watch;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::DefaultHeaders;
use actix_web::web::{self, Bytes, Data, Json, JsonConfig};
use actix_web::{App, HttpResponse, HttpServer};
use archipelago_edge::Visits;
use archipelago_lab::{Command, Remote};
use askama::Template;
use futures_util::stream::unfold;
use tokio::task::JoinHandle;
use tokio::time::interval;

use self::visits::visits_since;
use self::watch::{Watch, places};
use super::running_lab;
use crate::console::CommandError;
use crate::event_stream::{EVENT_STREAM, event};

/// How often the page hears of new visits.
const TICK: Duration = Duration::from_millis(50);

/// The page may load what this server has, and visit the site.
const CONTENT: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// More than any command has, in bytes.
const LONGEST_COMMAND: usize = 4096;

/// The page, with the outline of the land.
#[derive(Template)]
#[template(path = "lab.html")]
struct Page;

/// A server of the map, before the edge is there whose visits it shows.
pub(super) struct Map {
    listener: std::net::TcpListener,
    address: SocketAddr,
    token: String,
}

/// The running server.
pub(super) struct Serving {
    handle: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
}

/// What the handlers share.
struct Lab {
    remote: Remote,
    visits: Visits,
    watch: Arc<Watch>,
}

impl Map {
    pub(super) fn bind() -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, token: uuid::Uuid::new_v4().simple().to_string() })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The path of the page, with its token.
    pub(super) fn path(&self) -> String {
        format!("/_lab/{}/", self.token)
    }

    /// Starts to serve, for the lab that runs in this process.
    pub(super) async fn serve(self, visits: Visits) -> Result<Serving, CommandError> {
        let watch = Watch::start(running_lab()?).await?;
        let lab = Data::new(Lab { remote: running_lab()?, visits, watch });
        let path = self.path();
        let server: Server = HttpServer::new(move || {
            let headers = DefaultHeaders::new()
                .add((CONTENT_SECURITY_POLICY, CONTENT))
                .add((X_CONTENT_TYPE_OPTIONS, "nosniff"))
                // The path has the token.
                .add((REFERRER_POLICY, "no-referrer"))
                .add((CACHE_CONTROL, "no-store"));
            App::new()
                .app_data(lab.clone())
                .app_data(JsonConfig::default().limit(LONGEST_COMMAND))
                .wrap(headers)
                .route(&path, web::get().to(page))
                .route(&format!("{path}style.css"), web::get().to(stylesheet))
                .route(&format!("{path}lab.js"), web::get().to(script))
                .route(&format!("{path}events"), web::get().to(events))
                .route(&format!("{path}command"), web::post().to(command))
        })
        .workers(1)
        .disable_signals()
        .listen(self.listener)?
        .run();
        Ok(Serving { handle: server.handle(), task: tokio::spawn(server) })
    }
}

impl Serving {
    pub(super) async fn stop(self) {
        self.handle.stop(false).await;
        let _ = self.task.await;
    }
}

async fn page() -> HttpResponse {
    match Page.render() {
        Ok(html) => text("text/html; charset=utf-8", html),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

async fn stylesheet() -> HttpResponse {
    let sheets =
        concat!(include_str!("../../static/style.css"), include_str!("../../static/lab.css"));
    text("text/css; charset=utf-8", sheets)
}

async fn script() -> HttpResponse {
    text("text/javascript; charset=utf-8", include_str!("../../static/lab.js"))
}

fn text(content_type: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, content_type)).body(body.into())
}

/// POST `command`: carries out a command, and answers with what it did. One that cannot be carried out
/// is answered with 409 and the reason.
async fn command(lab: Data<Lab>, command: Json<Command>) -> HttpResponse {
    match lab.remote.send(&command).await {
        Ok(output) => HttpResponse::Ok().body(output.to_string()),
        Err(error) => HttpResponse::Conflict().body(error.to_string()),
    }
}

/// GET `events`: the places once, then each change of the world, and each visit.
async fn events(lab: Data<Lab>) -> HttpResponse {
    let first = Bytes::from(event("places", &places()));
    let mut worlds = lab.watch.worlds();
    worlds.mark_changed();
    let (seen, ticks) =
        (lab.visits.since(0).first().map_or(0, |visit| visit.number), interval(TICK));
    let events = unfold(
        (Some(first), worlds, seen, ticks, lab),
        |(mut first, mut worlds, mut seen, mut ticks, lab)| async move {
            if let Some(first) = first.take() {
                return Some((Ok::<_, actix_web::Error>(first), (None, worlds, seen, ticks, lab)));
            }
            loop {
                ticks.tick().await;
                let mut news = Vec::new();
                if worlds.has_changed().ok()? {
                    news.push(event("world", &worlds.borrow_and_update()));
                }
                if let Some((last, visits)) = visits_since(&lab.visits, seen) {
                    seen = last;
                    news.push(event("visits", &visits));
                }
                if !news.is_empty() {
                    return Some((
                        Ok(Bytes::from(news.concat())),
                        (None, worlds, seen, ticks, lab),
                    ));
                }
            }
        },
    );
    HttpResponse::Ok().content_type(EVENT_STREAM).streaming(events)
}
