//! Visitors who read and write in loops while a test changes something, and what they notice.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use archipelago::{Error, Replica, Snapshot};
use archipelago_lab::eventually;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join_all};
use tokio::time::sleep;

use super::setup::{DEADLINE, Repos, users};

/// Between two visits of one visitor: the servers stay as quick as they are for a few people.
const PAUSE: Duration = Duration::from_millis(2);

/// A visitor, and what happened to it.
pub struct Visitor<'a> {
    name: &'static str,
    visit: Box<dyn Fn() -> LocalBoxFuture<'a, Result<(), Error>> + 'a>,
    visits: Cell<usize>,
    noticed: RefCell<Vec<Error>>,
    longest: Cell<Duration>,
}

impl<'a> Visitor<'a> {
    /// A visitor who does this again and again.
    pub fn new<F>(name: &'static str, visit: impl Fn() -> F + 'a) -> Self
    where
        F: Future<Output = Result<(), Error>> + 'a,
    {
        Self {
            name,
            visit: Box::new(move || visit().boxed_local()),
            visits: Cell::default(),
            noticed: RefCell::default(),
            longest: Cell::default(),
        }
    }

    /// How many visits have ended.
    pub fn visits(&self) -> usize {
        self.visits.get()
    }

    /// How long the longest visit took.
    pub fn longest(&self) -> Duration {
        self.longest.get()
    }

    /// The errors since this was last asked.
    pub fn take_noticed(&self) -> Vec<Error> {
        self.noticed.take()
    }

    #[track_caller]
    pub fn assert_noticed_nothing(&self) {
        let noticed: Vec<_> = self.noticed.borrow().iter().map(ToString::to_string).collect();
        let (name, visits) = (self.name, self.visits());
        assert!(noticed.is_empty(), "{name}, of {visits} visits: {noticed:#?}");
    }

    async fn visit_again_and_again(&self) {
        loop {
            self.visit_once().await;
            sleep(PAUSE).await;
        }
    }

    async fn visit_once(&self) {
        let begun = Instant::now();
        let outcome = (self.visit)().await;
        self.longest.set(self.longest().max(begun.elapsed()));
        self.visits.set(self.visits() + 1);
        self.noticed.borrow_mut().extend(outcome.err());
    }
}

/// Waits until each visitor has begun and ended a visit.
pub async fn until_all_visit(visitors: &[Visitor<'_>]) {
    // The visit under way may have begun earlier.
    let wanted: Vec<_> = visitors.iter().map(|visitor| visitor.visits() + 2).collect();
    eventually("each visitor visits", DEADLINE, async || {
        let late =
            visitors.iter().zip(&wanted).find(|(visitor, wanted)| visitor.visits() < **wanted);
        late.map_or(Ok(()), |(visitor, _)| Err(visitor.name))
    })
    .await;
}

/// What they have noticed so far is of no interest.
pub fn forget_noticed(visitors: &[Visitor<'_>]) {
    for visitor in visitors {
        visitor.take_noticed();
    }
}

/// All of them visit once, at the same time.
pub async fn visit_once(visitors: &[Visitor<'_>]) {
    join_all(visitors.iter().map(Visitor::visit_once)).await;
}

/// Runs `change` among these visitors: each has visited before, and each visits after it.
pub async fn among<T>(visitors: &[Visitor<'_>], change: impl Future<Output = T>) -> T {
    let visiting = join_all(visitors.iter().map(Visitor::visit_again_and_again));
    // Boxed: futures within futures take more than the stack of a test.
    let change = Box::pin(change);
    let changing = Box::pin(async {
        until_all_visit(visitors).await;
        let changed = change.await;
        until_all_visit(visitors).await;
        changed
    });
    tokio::select! {
        changed = changing => changed,
        _ = visiting => unreachable!("a visitor goes on for ever"),
    }
}

/// The same, where no visitor notices anything.
pub async fn unnoticed<T>(visitors: &[Visitor<'_>], change: impl Future<Output = T>) -> T {
    let changed = Box::pin(among(visitors, change)).await;
    visitors.iter().for_each(Visitor::assert_noticed_nothing);
    changed
}

#[derive(QueryableByName)]
#[expect(dead_code)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
}

async fn read(reads: Replica<'_>) -> Result<(), Error> {
    reads.load::<(i64, String, i32)>(users::table.order(users::id).limit(10)).await.map(drop)
}

async fn read_boxed(reads: Replica<'_>) -> Result<(), Error> {
    let query = users::table.select(users::name).filter(users::age.gt(0)).limit(10).into_boxed();
    reads.load::<String>(query).await.map(drop)
}

/// Every column that there is, without their names.
async fn read_all_columns(reads: Replica<'_>) -> Result<(), Error> {
    reads.load_unchecked::<Named>(sql_query("SELECT * FROM users LIMIT 10")).await.map(drop)
}

async fn read_twice(reads: Replica<'_>) -> Result<(), Error> {
    let work = async |snapshot: &mut Snapshot<'_>| {
        snapshot.load::<String>(users::table.select(users::name).limit(10)).await?;
        snapshot.get_result::<i64>(users::table.count()).await
    };
    reads.snapshot(work).await.map(drop)
}

pub async fn add(repos: &Repos) -> Result<i64, Error> {
    let ada = diesel::insert_into(users::table).values((users::name.eq("Ada"), users::age.eq(36)));
    Ok(repos.primary().get_result(ada.returning(users::id)).await?.value)
}

async fn change(repos: &Repos) -> Result<(), Error> {
    let work = async |connection: &mut AsyncPgConnection| {
        let first = users::table.order(users::id).limit(1).select(users::id);
        let id: Option<i64> = first.first(connection).await.optional()?;
        let user = diesel::update(users::table).filter(users::id.nullable().eq(id));
        Ok::<_, Error>(user.set(users::age.eq(37)).execute(connection).await?)
    };
    repos.primary().transaction(work).await.map(drop)
}

/// Readers near and at the primary, and writers: each in another way.
pub fn crowd(repos: &Repos) -> Vec<Visitor<'_>> {
    let (near, home) = (move || repos.replica(), move || repos.repo_home().reads());
    vec![
        Visitor::new("a reader near", move || read(near())),
        Visitor::new("a reader at the primary", move || read(home())),
        Visitor::new("a reader of a boxed query", move || read_boxed(near())),
        Visitor::new("a reader of all columns near", move || read_all_columns(near())),
        Visitor::new("a reader of all columns at the primary", move || read_all_columns(home())),
        Visitor::new("a reader of a snapshot near", move || read_twice(near())),
        Visitor::new("a reader of a snapshot at the primary", move || read_twice(home())),
        Visitor::new("a writer", async move || add(repos).await.map(drop)),
        Visitor::new("a writer of transactions", move || change(repos)),
    ]
}
