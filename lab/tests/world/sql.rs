//! One session and one answer, as a user of the lab gets them.

use tokio_postgres::{Client, NoTls};

pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect(url);
    tokio::spawn(connection);
    client
}

/// Inserts a row into the table `notes`, and makes the table if need be.
pub async fn write(url: &str, note: &str) {
    let client = connect(url).await;
    client.batch_execute("CREATE TABLE IF NOT EXISTS notes (note text)").await.unwrap();
    client.execute("INSERT INTO notes VALUES ($1)", &[&note]).await.unwrap();
}

pub async fn notes(url: &str) -> Vec<String> {
    let rows = connect(url).await.query("SELECT note FROM notes ORDER BY note", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}
