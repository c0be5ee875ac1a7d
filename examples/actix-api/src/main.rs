//! A JSON API with users, posts and comments, which reads from the nearest replica.
//!
//! ```sh
//! export DATABASE_URL=postgres://app@localhost/app SECRET_KEY=$(openssl rand -hex 32)
//! psql $DATABASE_URL -f schema.sql
//! cargo run
//! ```

mod failure;
mod models;
mod paginated;
mod posts;
mod repos;
mod schema;
mod users;

use std::sync::Arc;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer};
use archipelago::Settings;
use archipelago::actix::{Keys, answer_for, configure};

use crate::repos::Repos;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let settings = Settings::from_env::<Repos>()?;
    let keys = Keys::from_env()?;
    let repos = Arc::new(Repos::connect(&settings).await?);
    let port = std::env::var("PORT").unwrap_or("8080".to_owned()).parse::<u16>()?;

    let set = repos.clone();
    let app = move || {
        App::new()
            .configure(configure(set.clone(), keys.clone()))
            .wrap(from_fn(answer_for))
            .service(users::create)
            .service(users::create_all)
            .service(users::list)
            .service(users::export)
            .service(users::show)
            .service(posts::publish)
            .service(posts::comment)
            .service(posts::newest)
    };
    let server = HttpServer::new(app).bind(("127.0.0.1", port))?;
    for address in server.addrs() {
        println!("listening on http://{address}");
    }
    // Actix stops on SIGTERM and Ctrl-C, once the requests in flight are answered.
    server.run().await?;
    repos.shutdown().await;
    Ok(())
}
