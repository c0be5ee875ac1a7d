//! Connections of the lab itself.

use std::time::Duration;

use tokio_postgres::{Client, Config, Error, NoTls};

/// A superuser's session. Each question opens its own: a world may be shared by tests that each
/// bring a runtime, and a connection lives on one runtime only.
pub(crate) async fn open(port: u16, password: &str) -> Result<Client, Error> {
    let (client, connection) = Config::new()
        .host("127.0.0.1")
        .port(port)
        .user(crate::secrets::ADMIN)
        .password(password)
        .dbname("postgres")
        .application_name("archipelago-lab")
        .connect_timeout(Duration::from_secs(5))
        .connect(NoTls)
        .await?;
    // It ends with the client; how it ends is what the client's next question hears.
    tokio::spawn(connection);
    Ok(client)
}
