//! The database of one test, on servers that it shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime;

use crate::{LabError, World};

/// `NAMEDATALEN` is 64, with the zero at the end.
const LONGEST: usize = 63;

/// The database, dropped with this value, even if the test panics.
pub(super) struct Database {
    servers: Arc<World>,
    name: Arc<str>,
}

impl Database {
    pub(super) async fn create(servers: Arc<World>, test: &str) -> Result<Self, LabError> {
        static NUMBER: AtomicUsize = AtomicUsize::new(1);
        let name = name(test, NUMBER.fetch_add(1, Ordering::Relaxed)).into();
        // Made first, so that the database is dropped even if a replica does not get it in time.
        let database = Self { servers, name };
        database.servers.create_database(&database.name).await?;
        Ok(database)
    }

    /// The servers, with URLs that lead here.
    pub(super) fn world(&self) -> World {
        self.servers.on_database(&self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (servers, name) = (self.servers.clone(), self.name.clone());
        // The test does not wait for it. If the process ends first, the servers end with all their
        // data.
        thread::spawn(move || {
            let dropped = runtime::Builder::new_current_thread().enable_all().build();
            let dropped = dropped.map_err(|source| LabError::NoRuntime { source });
            if let Err(error) =
                dropped.and_then(|runtime| runtime.block_on(servers.drop_database(&name)))
            {
                tracing::warn!(%error, database = &*name, "the database of a test could not be dropped");
            }
        });
    }
}

/// The test's name, cut if it is long, with a number, as tests of two modules may have the same
/// name.
fn name(test: &str, number: usize) -> String {
    let number = format!("_{number}");
    let end = test.floor_char_boundary(LONGEST - number.len());
    format!("{}{number}", &test[..end])
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_long_name_is_cut_and_keeps_its_number() {
        assert_eq!(name("reads", 1), "reads_1");
        assert_eq!(name(&"x".repeat(63), 12), format!("{}_12", "x".repeat(60)));
        // A name is cut between characters.
        assert_eq!(name(&"é".repeat(40), 1), format!("{}_1", "é".repeat(30)));
    }
}
