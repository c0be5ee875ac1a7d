//! Sessions of the lab itself.

use std::time::Duration;

use tokio_postgres::{Client, Config, Error, NoTls};

use crate::passwords::ADMIN;

/// Opens a superuser's session. Each question of the lab opens its own: a connection is bound to
/// one runtime, and tests that share a world each bring a runtime of their own.
pub(crate) async fn open(port: u16, password: &str) -> Result<Client, Error> {
    let (client, connection) = Config::new()
        .host("127.0.0.1")
        .port(port)
        .user(ADMIN)
        .password(password)
        .dbname("postgres")
        .application_name("archipelago-lab")
        .connect_timeout(Duration::from_secs(5))
        .connect(NoTls)
        .await?;
    // The task ends with the client. If it fails, the client's next query returns the error.
    tokio::spawn(connection);
    Ok(client)
}
