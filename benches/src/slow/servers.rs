//! The contenders of `slow`: tiny servers in which `/quick` reads a user and `/slow` sleeps for
//! 100 ms in the replica.

use std::env;
use std::io;
use std::net::{Ipv4Addr, TcpListener};

use actix_web::dev::Server;
use actix_web::error::ErrorInternalServerError;
use actix_web::web::{Data, get};
use actix_web::{App, HttpServer, Result};
use archipelago::Settings;
use archipelago_app::reads::user_query;
use archipelago_app::users::User;
use diesel::dsl::select;
use diesel::sql_types::Double;
use diesel_async::AsyncPgConnection;
use diesel_async::RunQueryDsl;
use diesel_async::pooled_connection::bb8::Pool;
use tokio_postgres::{Client, NoTls, Statement};

use crate::Failed;
use crate::contenders::hand_written::pool;
use crate::contenders::{Contender, PRIMARY_URL, pool_size, replica_url, serve_until_stopped};

archipelago::repos! { primary home; replica near }

const ID: i64 = 7;

/// How long a slow read sleeps, in seconds.
const SLEEP: f64 = 0.1;

// Diesel would prepare an `sql` fragment anew each time.
diesel::define_sql_function! { fn pg_sleep(seconds: Double) -> Text; }

/// In the child: serves until the parent wants it to stop.
///
/// # Errors
/// When it cannot start.
pub async fn serve(contender: Contender) -> Result<(), Failed> {
    let (primary, replica) = (env::var(PRIMARY_URL)?, env::var(replica_url())?);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let server = match contender {
        Contender::HandWritten => pools(listener, replica)?,
        Contender::Raw => pipelined(listener, replica)?,
        Contender::Axum => {
            return Err("`slow` compares connections: axum's are those of raw".into());
        }
        Contender::Archipelago | Contender::ArchipelagoCheckout => {
            let mut settings = Settings::single_database::<Repos>(&primary)?
                .with_url("near", &replica)?
                .in_region("near")
                .with_pool_size(pool_size());
            if contender == Contender::ArchipelagoCheckout {
                settings = settings.without_sharing();
            }
            repos(listener, Repos::connect(&settings).await?)?
        }
    };
    serve_until_stopped(server, address).await
}

/// A server on Diesel and bb8, with eight connections for each worker.
fn pools(listener: TcpListener, replica: String) -> io::Result<Server> {
    async fn quick(replica: Data<Pool<AsyncPgConnection>>) -> Result<String> {
        let mut connection = replica.get().await.map_err(ErrorInternalServerError)?;
        let user: User =
            user_query(ID).get_result(&mut connection).await.map_err(ErrorInternalServerError)?;
        Ok(user.name)
    }
    async fn slow(replica: Data<Pool<AsyncPgConnection>>) -> Result<String> {
        let mut connection = replica.get().await.map_err(ErrorInternalServerError)?;
        let nothing: String = select(pg_sleep(SLEEP))
            .get_result(&mut connection)
            .await
            .map_err(ErrorInternalServerError)?;
        Ok(nothing)
    }
    let app = move || {
        App::new()
            .app_data(Data::new(pool(&replica)))
            .route("/quick", get().to(quick))
            .route("/slow", get().to(slow))
    };
    Ok(HttpServer::new(app).disable_signals().listen(listener)?.run())
}

/// A server on tokio-postgres, with one pipelined connection for each worker.
fn pipelined(listener: TcpListener, replica: String) -> io::Result<Server> {
    struct Replica {
        client: Client,
        user: Statement,
        sleep: Statement,
    }
    async fn connect(url: String) -> Result<Replica, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        actix_web::rt::spawn(connection);
        let user = client.prepare("SELECT name FROM users WHERE id = $1").await?;
        let sleep = client.prepare(&format!("SELECT 1 FROM pg_sleep({SLEEP})")).await?;
        Ok(Replica { client, user, sleep })
    }
    async fn quick(replica: Data<Replica>) -> Result<String> {
        let row = replica
            .client
            .query_one(&replica.user, &[&ID])
            .await
            .map_err(ErrorInternalServerError)?;
        Ok(row.get(0))
    }
    async fn slow(replica: Data<Replica>) -> Result<String> {
        let row = replica
            .client
            .query_one(&replica.sleep, &[])
            .await
            .map_err(ErrorInternalServerError)?;
        Ok(row.get::<_, i32>(0).to_string())
    }
    let app = move || {
        let replica = replica.clone();
        App::new()
            .data_factory(move || connect(replica.clone()))
            .route("/quick", get().to(quick))
            .route("/slow", get().to(slow))
    };
    Ok(HttpServer::new(app).disable_signals().listen(listener)?.run())
}

/// A server on Archipelago.
fn repos(listener: TcpListener, repos: Repos) -> io::Result<Server> {
    async fn quick(repos: Data<Repos>) -> Result<String> {
        let user: User =
            repos.replica().get_result(user_query(ID)).await.map_err(ErrorInternalServerError)?;
        Ok(user.name)
    }
    async fn slow(repos: Data<Repos>) -> Result<String> {
        let nothing: String = repos
            .replica()
            .get_result(select(pg_sleep(SLEEP)))
            .await
            .map_err(ErrorInternalServerError)?;
        Ok(nothing)
    }
    let repos = Data::new(repos);
    let app = move || {
        App::new()
            .app_data(repos.clone())
            .route("/quick", get().to(quick))
            .route("/slow", get().to(slow))
    };
    Ok(HttpServer::new(app).disable_signals().listen(listener)?.run())
}
