//! How often a question crosses the ocean: a proxy counts the times that the client had to wait before it could go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use archipelago::{Error, Position};
use diesel::prelude::*;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::shared::{Repos, database, shared_world, users};

/// Counts what goes through it to one server, but for what the monitor asks now and then.
#[derive(Clone, Default)]
struct Counter {
    trips: Arc<AtomicUsize>,
    /// Whether the last bytes were the server's.
    answered: Arc<AtomicBool>,
    /// Whether this connection is the monitor's.
    is_monitor: Arc<AtomicBool>,
}

impl Counter {
    /// Listens in front of the server at `url`, and gives the URL of itself.
    async fn before(url: &str) -> (Self, String) {
        let (counter, listener) = (Self::default(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let mut url: url::Url = url.parse().unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let counting = counter.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let counting = Self { is_monitor: Arc::default(), ..counting.clone() };
                counting.answered.store(true, Ordering::SeqCst);
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(counting.clone().pass(from_client, to_server, false));
                tokio::spawn(counting.clone().pass(from_server, to_client, true));
            }
        });
        (counter, url.into())
    }

    async fn pass(self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, is_answer: bool) {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            // A new connection says its name.
            if bytes[..count].windows(19).any(|text| text == b"archipelago monitor") {
                self.is_monitor.store(true, Ordering::SeqCst);
            }
            if self.is_monitor.load(Ordering::SeqCst) {
                // Not counted.
            } else if self.answered.swap(is_answer, Ordering::SeqCst) && !is_answer {
                self.trips.fetch_add(1, Ordering::SeqCst);
            }
            if is_answer {
                // A line: what is asked without waiting for it is on its way by then.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            if to.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    }

    /// The round trips that `work` takes.
    async fn of<T>(&self, work: impl Future<Output = T>) -> (usize, T) {
        let before = self.trips.load(Ordering::SeqCst);
        let value = work.await;
        (self.trips.load(Ordering::SeqCst) - before, value)
    }
}

/// Repos that see the primary through a counter, with one connection of each kind.
async fn counted(name: &str) -> (Counter, Repos) {
    let settings = database(shared_world().await, name).await;
    let (counter, url) = Counter::before(settings.url("home").unwrap().expose()).await;
    let settings = settings.with_url("home", &url).unwrap().in_region("home").with_pool_size(1);
    (counter, Repos::connect(&settings).await.unwrap())
}

fn ada() -> impl diesel::query_builder::QueryFragment<diesel::pg::Pg> + diesel::query_builder::QueryId + Send {
    diesel::insert_into(users::table).values((users::name.eq("Ada"), users::age.eq(36)))
}

#[tokio::test]
async fn a_read_is_one_round_trip() {
    let (counter, repos) = counted("trips_of_a_read").await;
    let read = async || repos.replica().load::<String>(users::table.select(users::name)).await.unwrap();
    let (first, _) = counter.of(read()).await;
    assert_eq!(first, 3, "the first of its kind is prepared, and so is the question for the position");
    assert_eq!(counter.of(read()).await.0, 1);
    let many = async || tokio::join!(read(), read(), read());
    assert_eq!(counter.of(Box::pin(many())).await.0, 1, "they share it");
}

#[tokio::test]
async fn a_write_and_its_position_are_one_round_trip() {
    let (counter, repos) = counted("trips_of_a_write").await;
    let write = async || repos.primary().execute(ada()).await.unwrap().position.unwrap();
    let first: Position = write().await;
    let (trips, second) = counter.of(write()).await;
    assert_eq!(trips, 1);
    assert!(second > first);
}

#[tokio::test]
async fn a_transaction_saves_the_round_trips_that_it_can() -> Result<(), Error> {
    use diesel_async::RunQueryDsl;

    let (counter, repos) = counted("trips_of_a_transaction").await;
    let two = async || {
        let two = repos.primary().transaction(async |connection| {
            let (mut one, mut other) = (&*connection, &*connection);
            let (one, other) = tokio::join!(biased; ada().execute(&mut one), ada().execute(&mut other));
            Ok::<_, Error>(one? + other?)
        });
        two.await
    };
    assert_eq!(two().await?.value, 2);
    let (trips, committed) = counter.of(two()).await;
    assert!(committed?.position.is_some());
    assert_eq!(trips, 3, "BEGIN; both statements; COMMIT and the position");
    Ok(())
}
