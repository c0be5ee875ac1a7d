//! The instances of two and of forty regions, which are otherwise the same.

use std::env;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Instant;

use actix_web::error::ErrorNotFound;
use actix_web::web::{Data, Path, get};
use actix_web::{App, HttpResponse, HttpServer, Result};
use archipelago::actix::{Key, Reader, configure};
use archipelago::{RepoSet, Settings};
use archipelago_app::reads::{dated_user_query, user_query};
use archipelago_app::users::{DatedUser, User};
use archipelago_app::views::ShowPage;

use super::Regions;
use crate::Failed;
use crate::contenders::{PRIMARY_URL, layout, page, pool_size, replica_url, serve_until_stopped};

mod two {
    archipelago::repos! { primary nrt; replica ord }
}

/// Generated from benches/regions.toml by build.rs.
mod forty {
    include!(concat!(env!("OUT_DIR"), "/repos.rs"));
}

const ID: i64 = 7;

impl Regions {
    /// The number of regions.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Few => two::Repos::REGIONS.len(),
            Self::Many => forty::Repos::REGIONS.len(),
        }
    }
}

/// In the child: serves until the parent wants it to stop.
///
/// # Errors
/// When it cannot start.
pub async fn serve(regions: Regions) -> Result<(), Failed> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, env::var("PORT")?.parse()?))?;
    match regions {
        Regions::Few => {
            listen(listener, Arc::new(two::Repos::connect(&settings::<two::Repos>()?).await?)).await
        }
        Regions::Many => {
            // Boxed, because the future holds forty repos, which take 20 kB.
            let repos =
                Arc::new(Box::pin(forty::Repos::connect(&settings::<forty::Repos>()?)).await?);
            listen(listener, repos).await
        }
    }
}

/// The instance is in the region of the first replica. The primary's server plays all other
/// regions, so their connections are counted there.
fn settings<R: RepoSet>() -> Result<Settings, Failed> {
    let own = R::REGIONS[1].code;
    let settings = Settings::single_database::<R>(&env::var(PRIMARY_URL)?)?
        .with_url(own, &env::var(replica_url())?)?;
    Ok(settings.in_region(own).with_pool_size(pool_size()))
}

async fn listen<R: RepoSet>(listener: TcpListener, repos: Arc<R>) -> Result<(), Failed> {
    let (address, key) = (listener.local_addr()?, Key::generate());
    let app = move || {
        App::new()
            .configure(configure(repos.clone(), key.clone()))
            .route("/users/{id}", get().to(show::<R>))
            .route("/everywhere", get().to(everywhere::<R>))
    };
    serve_until_stopped(HttpServer::new(app).disable_signals().listen(listener)?.run(), address)
        .await
}

async fn show<R: RepoSet>(reader: Reader<R>, id: Path<i64>) -> Result<HttpResponse> {
    let start = Instant::now();
    let user: DatedUser = reader
        .replica()
        .optional(dated_user_query(*id))
        .await?
        .ok_or_else(|| ErrorNotFound("no such user"))?;
    page(&ShowPage::new(layout(start), &user))
}

/// Reads a user in every region, which opens every pool.
async fn everywhere<R: RepoSet>(repos: Data<R>) -> Result<String> {
    for info in R::REGIONS {
        let _: User = repos.replica_in(info.code).get_result(user_query(ID)).await?;
    }
    Ok(R::REGIONS.len().to_string())
}
