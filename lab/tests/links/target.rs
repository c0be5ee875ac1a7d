//! Links for the tests, and small servers behind their proxies.

use std::net::SocketAddr;
use std::time::Duration;

use archipelago_lab::{Distances, Links};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const FAR: Duration = Duration::from_millis(100);

/// Links between `home`, `near` at no distance, and `far`.
pub fn links() -> Links {
    Links::new(Distances::default().with_round_trip("far", "home", FAR)).unwrap()
}

pub fn proxy(links: &Links, place: &str, target: SocketAddr) -> SocketAddr {
    links.proxy(place, "home", target).unwrap()
}

/// A server that handles every connection like this.
pub async fn serve<F: Future<Output = ()> + Send + 'static>(
    answer: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(answer(connection));
        }
    });
    address
}

/// A server that sends back what it receives.
pub async fn echo() -> SocketAddr {
    serve(async |mut connection| {
        connection.set_nodelay(true).unwrap();
        let (mut from, mut to) = connection.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
        let _ = to.shutdown().await;
    })
    .await
}

pub async fn connect(address: SocketAddr) -> TcpStream {
    let connection = TcpStream::connect(address).await.unwrap();
    connection.set_nodelay(true).unwrap();
    connection
}

/// Sends this to an echo server, and waits for the echo.
pub async fn ask(connection: &mut TcpStream, question: &[u8]) {
    connection.write_all(question).await.unwrap();
    expect(connection, question).await;
}

/// Reads exactly this.
pub async fn expect(connection: &mut TcpStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    connection.read_exact(&mut read).await.unwrap();
    assert_eq!(read, bytes);
}
