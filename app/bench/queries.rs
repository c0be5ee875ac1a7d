//! The queries of a benchmark: the reads of the app's pages, and a write of its own.

use archipelago::{Error, RegionInfo, Replica, RepoSet, Role};
use clap::ValueEnum;
use diesel::debug_query;
use diesel::pg::Pg;
use diesel::prelude::*;

use crate::paging::Cursor;
use crate::reads;
use crate::repos::Repos;
use crate::schema::users;
use crate::users::{NewUser, User};

/// The name of the users that the benchmark inserts, by which it finds and deletes them.
const INSERTED: &str = "archipelago bench, to be deleted";

/// The query to send to each database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Query {
    /// The first page of the list of users.
    #[default]
    Index,
    /// The first user, by id.
    Show,
    /// Insert a user at the primary and delete it again; uses up ids.
    Write,
}

impl Query {
    /// The name, as `--query` takes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Show => "show",
            Self::Write => "write",
        }
    }

    /// The query in words.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Index => "the first page of the list of users",
            Self::Show => "the first user, by id",
            Self::Write => "a user inserted, and deleted again",
        }
    }

    /// The regions whose databases can run the query.
    pub(super) fn regions(self) -> impl Iterator<Item = &'static RegionInfo> {
        // Further servers of a region may have no URL.
        let regions = Repos::REGIONS.iter().filter(|info| info.code == info.region);
        regions.filter(move |info| self != Self::Write || info.role == Role::Primary)
    }

    /// The number of those regions.
    pub(super) fn count(self) -> u32 {
        self.regions().map(|_| 1).sum()
    }
}

/// A query with its parameters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    Index,
    Show { id: i64 },
    Write,
}

/// Why a query cannot be run, or left rows behind.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkError {
    #[error("there is no user to show; create one, or write --query index")]
    NoUser,
    #[error("no region could look up a user; the last error: {0}")]
    NoAnswer(Error),
    #[error(
        "users named `{INSERTED}` could not be removed: {0}; once the primary takes writes, \
         `archipelago bench --query write --time 1s` removes them"
    )]
    Leftovers(Error),
}

impl Work {
    /// Looks up the parameters of a query. `write` also deletes the rows of an interrupted run.
    pub(super) async fn prepare(query: Query, repos: &Repos) -> Result<Self, WorkError> {
        let work = match query {
            Query::Index => Self::Index,
            Query::Show => Self::Show { id: first_user(repos).await? },
            Query::Write => Self::Write,
        };
        work.clean_up(repos).await?;
        Ok(work)
    }

    pub(super) fn query(self) -> Query {
        match self {
            Self::Index => Query::Index,
            Self::Show { .. } => Query::Show,
            Self::Write => Query::Write,
        }
    }

    /// The statements that are sent, in SQL.
    pub(super) fn statements(self) -> String {
        match self {
            Self::Index => debug_query::<Pg, _>(&reads::page_query(Cursor::default())).to_string(),
            Self::Show { id } => debug_query::<Pg, _>(&reads::user_query(id)).to_string(),
            Self::Write => {
                "INSERT INTO users … RETURNING id, then DELETE FROM users WHERE id = …; each commits at once and \
                 returns the position of its commit in the same round trip"
                    .to_owned()
            }
        }
    }

    /// Runs the query once. Returns how many rows it read or wrote.
    pub(super) async fn run(self, repos: &Repos, region: &str) -> Result<usize, Error> {
        match self {
            Self::Index => {
                let users: Vec<User> =
                    pinned(repos, region).load(reads::page_query(Cursor::default())).await?;
                Ok(users.len())
            }
            Self::Show { id } => {
                let user: Option<User> =
                    pinned(repos, region).optional(reads::user_query(id)).await?;
                Ok(usize::from(user.is_some()))
            }
            Self::Write => {
                let user = NewUser { name: INSERTED.to_owned(), age: 0 };
                let insert = diesel::insert_into(users::table).values(&user).returning(users::id);
                let id: i64 = repos.primary().get_result(insert).await?.value;
                repos.primary().execute(diesel::delete(users::table.find(id))).await?;
                Ok(1)
            }
        }
    }

    /// Deletes the rows of interrupted iterations. Queries that only read leave none.
    pub(super) async fn clean_up(self, repos: &Repos) -> Result<(), WorkError> {
        if let Self::Write = self {
            let inserted = users::table.filter(users::name.eq(INSERTED));
            repos
                .primary()
                .execute(diesel::delete(inserted))
                .await
                .map_err(WorkError::Leftovers)?;
        }
        Ok(())
    }
}

/// That region's database only, without failover.
fn pinned<'a>(repos: &'a Repos, region: &str) -> Replica<'a> {
    repos.only(region).unwrap_or_else(|| repos.replica_in(region))
}

/// The id of the first user, looked up in the first region that answers.
async fn first_user(repos: &Repos) -> Result<i64, WorkError> {
    let mut last = WorkError::NoUser;
    for member in repos.members() {
        let first = users::table.select(users::id).order(users::id);
        match pinned(repos, member.info().code).first::<i64, _>(first).await {
            Ok(id) => return Ok(id),
            Err(error) if error.is_not_found() => return Err(WorkError::NoUser),
            Err(error) => last = WorkError::NoAnswer(error),
        }
    }
    Err(last)
}
