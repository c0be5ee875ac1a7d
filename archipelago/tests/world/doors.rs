//! The doors to the web frameworks: one suite of requests and answers for all of them.
//!
//! Each door serves a [`Site`], the same pages on the same handlers, by its own means.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use archipelago::visitor::{Key, Keys};
use archipelago::{Error, Primary, Replica};
use diesel::prelude::*;
use tokio::sync::Semaphore;

use super::setup::{Repos, users};

mod actix;
mod answers;
mod axum;
mod positions;
mod visit;

/// Another set of repos, with a database of its own.
mod other {
    archipelago::repos! { primary home; replica near; writes direct }
}

/// A web framework's door.
trait Door {
    /// Serves these pages on a free port until the test ends:
    ///
    /// | request | answer |
    /// | --- | --- |
    /// | `GET /` | the names of all users |
    /// | `GET /user/{id}` | the name of one, [`CACHED`] |
    /// | `POST /` | creates the user whom the body names: 2 MB at most |
    /// | `POST /raise/{code}` | a failure of the database with this SQLSTATE |
    /// | `GET /held`, `POST /held` | as `/`; the answer waits for a permit |
    /// | `GET /other`, `POST /other` | as `/`, in the other database |
    async fn serve(site: Site) -> SocketAddr;
}

/// What an app of the suite stands on.
#[derive(Clone)]
struct Site {
    repos: Arc<Repos>,
    other: Arc<other::Repos>,
    held: Arc<Held>,
}

const LONGEST_BODY: usize = 2_000_000;

/// What a handler says to caches itself.
const CACHED: &str = "private, max-age=60";

fn keys() -> Keys {
    Keys::new(Key::from(&[7; 64]))
}

/// An answer to `/held` waits for a permit.
struct Held {
    waiting: AtomicUsize,
    permits: Semaphore,
}

impl Held {
    async fn hold(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.permits.acquire().await.unwrap().forget();
    }
}

async fn list(replica: Replica<'_>) -> Result<String, Error> {
    let names: Vec<String> =
        replica.load(users::table.select(users::name).order(users::id)).await?;
    Ok(names.join(","))
}

async fn show(replica: Replica<'_>, id: i64) -> Result<String, Error> {
    replica.get_result(users::table.find(id).select(users::name)).await
}

async fn create(primary: Primary<'_>, name: &str) -> Result<String, Error> {
    let row = (users::name.eq(name), users::age.eq(36));
    primary.execute(diesel::insert_into(users::table).values(row)).await?;
    Ok("created".to_owned())
}

async fn raise(primary: Primary<'_>, code: &str) -> Result<String, Error> {
    let raise = format!("DO $$ BEGIN RAISE 'secret' USING ERRCODE = '{code}'; END $$");
    primary.execute(diesel::sql_query(raise)).await?;
    Ok("raised".to_owned())
}

/// Each case as a test of each door.
macro_rules! tests {
    ($($file:ident::$case:ident $(($own_servers:ident))?,)*) => {
        mod through_actix {
            $(
                #[archipelago_lab::test(
                    primary = "home", replicas = ["near", "far"] $(, $own_servers)?
                )]
                async fn $case(world: archipelago_lab::World) {
                    super::$file::$case::<super::actix::Actix>(&world).await;
                }
            )*
        }
        mod through_axum {
            $(
                #[archipelago_lab::test(
                    primary = "home", replicas = ["near", "far"] $(, $own_servers)?
                )]
                async fn $case(world: archipelago_lab::World) {
                    super::$file::$case::<super::axum::Axum>(&world).await;
                }
            )*
        }
    };
}

tests! {
    positions::a_write_is_in_the_next_read(own_servers),
    positions::a_tampered_cookie_counts_as_none(own_servers),
    positions::a_program_carries_positions_in_a_header(own_servers),
    positions::answers_that_overtake_each_other_hide_no_write(own_servers),
    positions::a_late_answer_to_a_read_hides_no_write(own_servers),
    positions::a_commit_without_a_known_position_is_read_at_the_primary(own_servers),
    positions::two_sets_of_repos_keep_their_positions_apart(own_servers),
    answers::a_read_says_who_served_it,
    answers::a_cookie_is_secure_where_the_visitor_came_over_tls,
    answers::an_error_has_its_status(own_servers),
    answers::a_write_from_afar_is_replayed_before_its_body_is_read,
    answers::what_cannot_be_replayed_is_written_here,
    answers::with_direct_writes_nothing_is_replayed,
}
