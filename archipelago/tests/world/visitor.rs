//! A visitor of an Actix app, with a jar of cookies as a browser has one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, Path};
use actix_web::{App, HttpServer};
use archipelago::actix::{self, Key, Keys, Reader, Writer, answer_for};
use archipelago::{Error, Freshness, RepoSet, Settings};
use archipelago_lab::{World, eventually};
use diesel::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::cutting_proxy::CuttingProxy;
use super::setup::{DEADLINE, HOUR, Repos, create_users, settings, users};

/// Another set of repos, with a database of its own.
mod other {
    archipelago::repos! { primary home; replica near }
}

/// An answer to a path that begins with `/held` waits for a permit.
struct Held {
    waiting: AtomicUsize,
    permits: Semaphore,
}

async fn hold(held: &Held) {
    held.waiting.fetch_add(1, Ordering::SeqCst);
    held.permits.acquire().await.unwrap().forget();
}

async fn list<R: RepoSet>(reader: Reader<R>) -> Result<String, Error> {
    let names: Vec<String> =
        reader.replica().load(users::table.select(users::name).order(users::id)).await?;
    Ok(names.join(","))
}

async fn list_held(reader: Reader<Repos>, held: Data<Held>) -> Result<String, Error> {
    let names = list(reader).await;
    hold(&held).await;
    names
}

async fn create<R: RepoSet>(writer: Writer<R>, name: Path<String>) -> Result<String, Error> {
    let row = (users::name.eq(name.into_inner()), users::age.eq(36));
    writer.primary().execute(diesel::insert_into(users::table).values(row)).await?;
    Ok("created".to_owned())
}

async fn create_held(
    writer: Writer<Repos>,
    name: Path<String>,
    held: Data<Held>,
) -> Result<String, Error> {
    let created = create(writer, name).await;
    hold(&held).await;
    created
}

/// An app, and its visitor. Clones share the jar.
#[derive(Clone)]
struct Visit {
    app: SocketAddr,
    held: Data<Held>,
    /// The cookies by their names.
    jar: Arc<Mutex<BTreeMap<String, String>>>,
}

/// An answer, and the headers that matter.
#[derive(Debug, Default)]
struct Answer {
    body: String,
    served_by: String,
    positions: Vec<String>,
    set_cookies: Vec<String>,
}

impl Visit {
    async fn new(settings: &Settings) -> Self {
        Self::with_both(settings, None).await
    }

    /// An app whose paths under `/other` use a second set of repos.
    async fn with_both(settings: &Settings, other: Option<&Settings>) -> Self {
        let repos = Arc::new(Repos::connect(settings).await.unwrap());
        let other = match other {
            Some(settings) => Some(Arc::new(other::Repos::connect(settings).await.unwrap())),
            None => None,
        };
        let held = Data::new(Held { waiting: AtomicUsize::new(0), permits: Semaphore::new(0) });
        let shared = held.clone();
        let key = || Keys::new(Key::from(&[7; 64]));
        let app = move || {
            let app = App::new()
                .configure(actix::configure(repos.clone(), key()))
                .app_data(shared.clone())
                .route("/", web::get().to(list::<Repos>))
                .route("/held", web::get().to(list_held))
                .route("/held/{name}", web::post().to(create_held))
                .route("/{name}", web::post().to(create::<Repos>));
            let app = match other.clone() {
                Some(other) => app.configure(actix::configure(other, key())),
                None => app,
            };
            app.route("/other/", web::get().to(list::<other::Repos>))
                .route("/other/{name}", web::post().to(create::<other::Repos>))
                .wrap(from_fn(answer_for))
        };
        let server = HttpServer::new(app).workers(1).disable_signals();
        let server = server.bind(("127.0.0.1", 0)).unwrap();
        let app = server.addrs()[0];
        tokio::spawn(server.run());
        Self { app, held, jar: Arc::default() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path).await
    }

    async fn post(&self, path: &str) -> Answer {
        let answer = self.send("POST", path).await;
        assert_eq!(answer.body, "created", "{answer:?}");
        answer
    }

    /// Sends a request whose answer is held once the database has answered.
    async fn send_held(&self, method: &'static str, path: &'static str) -> JoinHandle<Answer> {
        let visit = self.clone();
        let answer = tokio::spawn(async move { visit.send(method, path).await });
        eventually("the answer is held", DEADLINE, async || {
            self.held.waiting.load(Ordering::SeqCst) == 1
        })
        .await;
        answer
    }

    /// Lets the held answer go.
    fn release(&self) {
        self.held.permits.add_permits(1);
    }

    /// Sends a request with the cookies of now, and keeps those of its answer when that comes.
    async fn send(&self, method: &str, path: &str) -> Answer {
        let jar = self.jar.lock().await.clone();
        let cookies: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: here\r\ncookie: {}\r\nconnection: close\r\n\
             content-length: 0\r\n\r\n",
            cookies.join("; ")
        );
        let mut text = String::new();
        let exchange = async {
            let mut socket = TcpStream::connect(self.app).await.unwrap();
            socket.write_all(head.as_bytes()).await.unwrap();
            socket.read_to_string(&mut text).await.unwrap();
        };
        timeout(DEADLINE, exchange).await.expect("the answer has an end");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut answer = Answer { body: body.to_owned(), ..Answer::default() };
        for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
            match name.to_ascii_lowercase().as_str() {
                "x-served-by" => value.clone_into(&mut answer.served_by),
                "archipelago-position" => answer.positions.push(value.to_owned()),
                "set-cookie" => answer.set_cookies.push(value.to_owned()),
                _ => {}
            }
        }
        let mut jar = self.jar.lock().await;
        for cookie in &answer.set_cookies {
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    async fn cookies(&self) -> Vec<String> {
        self.jar.lock().await.keys().cloned().collect()
    }
}

/// An app in `near`, whose replica is used however far behind it is.
async fn seen_from_near(world: &World) -> Visit {
    Visit::new(&create_users(world).await.in_region("near").with_max_lag(HOUR)).await
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn answers_that_overtake_each_other_hide_no_write(world: World) {
    let visit = seen_from_near(&world).await;
    let near = world.server("near").unwrap();
    let first = visit.send_held("POST", "/held/first").await;
    world.catch_up().await.unwrap();
    near.pause_replay().await.unwrap();
    visit.post("/second").await;
    visit.release();
    first.await.unwrap();
    assert_eq!(visit.cookies().await.len(), 2, "two requests were under way at once");

    let read = visit.get("/").await;
    assert_eq!(read.body, "first,second", "{read:?}");
    assert_eq!(visit.cookies().await.len(), 1, "the next answer has tidied up: {read:?}");
    assert_eq!(visit.get("/").await.body, "first,second");
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_late_answer_to_a_read_hides_no_write(world: World) {
    let visit = seen_from_near(&world).await;
    visit.post("/first").await;
    visit.get("/").await;
    world.catch_up().await.unwrap();
    world.server("near").unwrap().pause_replay().await.unwrap();
    let late = visit.send_held("GET", "/held").await;
    visit.post("/second").await;
    visit.release();
    late.await.unwrap();
    assert_eq!(visit.get("/").await.body, "first,second");
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_commit_without_a_known_position_is_read_at_the_primary(world: World) {
    let (proxy, home) = CuttingProxy::start(&world.primary().url()).await;
    create_users(&world).await;
    let settings = settings(&world).with_url("home", &home).unwrap();
    let settings = settings.in_region("near").with_max_lag(HOUR);
    let near = world.server("near").unwrap();
    near.pause_replay().await.unwrap();

    let repos = Repos::connect(&settings).await.unwrap();
    proxy.cut_after_next_insert();
    let ada = diesel::insert_into(users::table).values((users::name.eq("Ada"), users::age.eq(36)));
    let committed = repos.primary().execute(ada).await.unwrap();
    assert!(committed.value == 1 && committed.position.is_unknown(), "{committed:?}");
    let read = repos.replica().fresh(Freshness::AtLeast(committed.position));
    let read = read.load_served::<String>(users::table.select(users::name)).await.unwrap();
    assert_eq!((read.value, read.served_by.region), (vec!["Ada".to_owned()], "home"));
    assert!(!read.position.is_unknown());

    // A visitor reads at the primary once, and has a known position from then on.
    let visit = Visit::new(&settings).await;
    proxy.cut_after_next_insert();
    let written = visit.post("/Grace").await;
    assert!(written.positions[0].ends_with("FFFFFFFF/FFFFFFFF"), "{written:?}");
    let read = visit.get("/").await;
    assert_eq!(read.body, "Ada,Grace");
    assert!(read.served_by.starts_with("home"), "{read:?}");
    assert!(!read.positions[0].ends_with("FFFFFFFF/FFFFFFFF"), "{read:?}");
    assert_eq!(visit.cookies().await.len(), 1);
    near.resume_replay().await.unwrap();
    eventually("near serves the visitor again", DEADLINE, async || {
        visit.get("/").await.served_by.starts_with("near")
    })
    .await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn two_sets_of_repos_keep_their_positions_apart(world: World) {
    let foreign = World::builder().primary("home").replicas(["near", "far"]).start().await.unwrap();
    create_users(&foreign).await;
    let url = foreign.primary().url();
    let other = Settings::single_database::<other::Repos>(&url).unwrap();
    let ours = create_users(&world).await.in_region("near").with_max_lag(HOUR);
    let visit = Visit::with_both(&ours, Some(&other)).await;
    world.server("near").unwrap().pause_replay().await.unwrap();

    let ours = visit.post("/Ada").await;
    assert!(ours.set_cookies[0].contains("; Max-Age=3600"), "as long as max_lag: {ours:?}");
    let theirs = visit.post("/other/Grace").await;
    assert_eq!(theirs.set_cookies.len(), 1, "the other database's cookie stays: {theirs:?}");
    assert!(theirs.set_cookies[0].contains("; Max-Age=600"), "{theirs:?}");
    assert_eq!(visit.cookies().await.len(), 2);
    assert_eq!(visit.get("/other/").await.body, "Grace");
    let read = visit.get("/").await;
    assert_eq!(read.body, "Ada", "its own position still holds: {read:?}");
    assert_eq!((read.positions.len(), visit.cookies().await.len()), (1, 2));
}
