//! The span of each read and each write: what it tells, and what it never tells.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use archipelago::{Error, Freshness, Reason, RepoSet};
use archipelago_lab::{World, eventually};
use diesel::prelude::*;
use diesel::sql_query;
use diesel_async::RunQueryDsl;
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use super::setup::{DEADLINE, HOUR, Repos, create_users, users};

/// The fields of one span.
#[derive(Clone, Debug, Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let earlier = self.0.insert(field.name(), format!("{value:?}"));
        assert_eq!(earlier, None, "{} is recorded twice", field.name());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

impl Fields {
    #[track_caller]
    fn assert(&self, expected: &[(&str, &str)]) {
        for (name, value) in expected {
            assert_eq!(self.0.get(name).map(String::as_str), Some(*value), "{name} in {self:?}");
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// Keeps the library's spans, in the order of their ends.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Fields>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Kept {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        context.span(id).unwrap().extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        values.record(span.extensions_mut().get_mut::<Fields>().unwrap());
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        if span.metadata().target() == "archipelago::query" {
            assert_eq!(*span.metadata().level(), Level::DEBUG);
            self.0.lock().extend(span.extensions().get::<Fields>().cloned());
        }
    }
}

impl Kept {
    /// Does the work, and returns the one span of it as well.
    async fn of<T>(&self, work: impl Future<Output = T>) -> (T, Fields) {
        let subscriber = tracing_subscriber::registry().with(self.clone());
        let value = work.with_subscriber(subscriber).await;
        let spans = std::mem::take(&mut *self.0.lock());
        let [span] = &spans[..] else { panic!("one span is expected: {spans:?}") };
        (value, span.clone())
    }
}

/// The repos near, once a read is served there.
async fn connected(world: &World) -> Repos {
    let settings = create_users(world).await.with_max_lag(HOUR).in_region("near");
    let repos = Repos::connect(&settings).await.unwrap();
    eventually("the replica serves", DEADLINE, async || {
        let read = repos.replica().load_served::<i64>(users::table.count()).await;
        read.is_ok_and(|read| read.served_by.reason == Reason::Local)
    })
    .await;
    repos
}

/// The attributes that tell which server it is.
fn server(repos: &Repos, region: &str) -> [(&'static str, String); 4] {
    let member = repos.members().find(|member| member.info().code == region).unwrap();
    let url = member.reading().url();
    let database = url.expose().rsplit_once('/').unwrap().1.split('?').next().unwrap().to_owned();
    [
        ("archipelago.region", region.to_owned()),
        ("server.address", url.host()),
        ("server.port", url.port().to_string()),
        ("db.namespace", database),
    ]
}

#[track_caller]
fn assert_server(fields: &Fields, repos: &Repos, region: &str) {
    for (name, value) in server(repos, region) {
        fields.assert(&[(name, &value)]);
    }
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_read_and_a_write_tell_what_and_where(world: World) {
    let repos = connected(&world).await;
    let kept = Kept::default();
    let (read, span) = kept.of(repos.replica().load_served::<i64>(users::table.count())).await;
    assert_server(&span, &repos, "near");
    let name = format!("SELECT {}", span.0["db.namespace"]);
    span.assert(&[
        ("otel.kind", "client"),
        ("otel.name", &name),
        ("db.system.name", "postgresql"),
        ("db.operation.name", "SELECT"),
        ("archipelago.role", "replica"),
        ("archipelago.reason", "local"),
        ("archipelago.position", &read.unwrap().position.to_string()),
    ]);
    assert!(!span.has("error.type") && !span.has("otel.status_code"), "{span:?}");

    let row = (users::name.eq("hunter2"), users::age.eq(4711));
    let insert = diesel::insert_into(users::table).values(row);
    let (committed, span) = kept.of(repos.primary().execute(insert)).await;
    let position = committed.unwrap().position;
    assert_server(&span, &repos, "home");
    span.assert(&[
        ("db.operation.name", "INSERT"),
        ("archipelago.role", "primary"),
        ("archipelago.reason", "primary"),
        ("archipelago.position", &position.to_string()),
    ]);
    assert!(!format!("{span:?}").contains("hunter2") && !format!("{span:?}").contains("4711"));

    let snapshot = repos
        .replica()
        .snapshot(async |snapshot| snapshot.get_result::<i64>(users::table.count()).await);
    let (_, span) = kept.of(snapshot).await;
    let name = format!("snapshot {}", span.0["db.namespace"]);
    span.assert(&[("otel.name", &name), ("archipelago.region", "near")]);
    assert!(!span.has("db.operation.name"), "{span:?}");
    let work = repos.replica().connection(async |connection| {
        Ok::<_, Error>(users::table.count().get_result::<i64>(connection).await?)
    });
    let (_, span) = kept.of(work).await;
    span.assert(&[("archipelago.region", "near"), ("archipelago.reason", "local")]);
    let (rows, span) = kept.of(repos.replica().load_stream::<i64>(users::table.count())).await;
    span.assert(&[("db.operation.name", "SELECT"), ("archipelago.region", "near")]);
    drop(rows);

    let delete = repos.primary().transaction(async |connection| {
        diesel::delete(users::table).execute(connection).await.map_err(Error::from)
    });
    let (committed, span) = kept.of(delete).await;
    let name = format!("transaction {}", span.0["db.namespace"]);
    let position = committed.unwrap().position.to_string();
    span.assert(&[("otel.name", &name), ("archipelago.position", &position)]);
    let ping = repos.primary().connection(async |_| Ok::<_, Error>(()));
    let (committed, span) = kept.of(ping).await;
    let position = committed.unwrap().position.to_string();
    span.assert(&[("archipelago.region", "home"), ("archipelago.position", &position)]);
    repos.shutdown().await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_read_that_goes_elsewhere_tells_where(world: World) {
    let repos = connected(&world).await;
    for region in ["near", "far"] {
        world.server(region).unwrap().pause_replay().await.unwrap();
    }
    let row = (users::name.eq("Ada"), users::age.eq(36));
    let insert = diesel::insert_into(users::table).values(row);
    let position = repos.primary().execute(insert).await.unwrap().position;
    let fresh = repos.replica().fresh(Freshness::AtLeast(position));
    let kept = Kept::default();
    let (names, span) = kept.of(fresh.load::<String>(users::table.select(users::name))).await;
    assert_eq!(names.unwrap(), ["Ada"]);
    assert_server(&span, &repos, "home");
    span.assert(&[("archipelago.role", "primary"), ("archipelago.reason", "fresher")]);
    repos.shutdown().await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_failure_has_its_sqlstate_and_no_literal(world: World) {
    let repos = connected(&world).await;
    let kept = Kept::default();
    let failed = [("otel.status_code", "ERROR"), ("error.type", "42P01")];

    let write = sql_query("DELETE FROM nowhere WHERE name = 'hunter2'");
    let (outcome, span) = kept.of(repos.primary().execute(write)).await;
    assert_eq!(outcome.unwrap_err().code(), Some("42P01"));
    assert_server(&span, &repos, "home");
    span.assert(&[("db.operation.name", "DELETE"), failed[0], failed[1]]);
    assert!(!span.has("archipelago.position"), "{span:?}");
    assert!(!format!("{span:?}").contains("hunter2"), "{span:?}");

    diesel::table! { nowhere (id) { id -> BigInt } }
    let (outcome, span) =
        kept.of(repos.replica().load::<i64>(nowhere::table.select(nowhere::id))).await;
    assert_eq!(outcome.unwrap_err().code(), Some("42P01"));
    assert_server(&span, &repos, "near");
    span.assert(&failed);

    let work = repos.primary().transaction(async |connection| {
        Ok::<_, Error>(nowhere::table.select(nowhere::id).load::<i64>(connection).await?)
    });
    let (outcome, span) = kept.of(work).await;
    assert!(outcome.is_err());
    span.assert(&[("otel.status_code", "ERROR"), ("error.type", "_OTHER")]);
    repos.shutdown().await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn at_the_level_info_there_is_none(world: World) {
    let repos = connected(&world).await;
    let kept = Kept::default();
    let subscriber = tracing_subscriber::registry().with(LevelFilter::INFO).with(kept.clone());
    let read = repos.replica().load::<i64>(users::table.count());
    read.with_subscriber(subscriber).await.unwrap();
    assert!(kept.0.lock().is_empty());
    repos.shutdown().await;
}
