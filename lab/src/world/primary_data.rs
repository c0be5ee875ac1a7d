//! Which folder has the data of the primary, when a promotion has made it another than `primary`.
//!
//! The folders of running servers keep their names. Each promotion adds the name of a folder to a note, before it happens;
//! the next start puts the folders in order before any server runs. A crash in any step loses nothing.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::place::Place;
use crate::{LabError, cluster, stale};

/// A folder's name in each line, the newest primary's last.
const NOTE: &str = "promotions";

/// Where the old primary's data waits for a moment; what a crash leaves of it, the next start removes.
const ASIDE: &str = "primary.before";

/// Notes, to survive a power failure, that the server with this data is about to become the primary.
pub(crate) fn record(place: &Place, data: &Path) -> Result<(), LabError> {
    let Some(name) = data.file_name().filter(|_| place.sweeper.is_none()) else { return Ok(()) };
    let (note, new) = (place.home.join(NOTE), place.home.join("promotions.new"));
    let write = || {
        let mut content = fs::read(&note).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(Vec::new()),
            _ => Err(error),
        })?;
        content.extend(name.as_encoded_bytes());
        content.push(b'\n');
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&content)?;
        file.sync_all()?;
        place.share(&new)?;
        fs::rename(&new, &note)?;
        sync(&place.home)
    };
    write().map_err(LabError::file("write", &note))
}

/// Gives the newest primary's data the name `primary`, and what had that name the other's: it may be a good replica's by now.
pub(crate) async fn settle(home: &Path) -> Result<(), LabError> {
    let note = home.join(NOTE);
    let Ok(content) = fs::read_to_string(&note) else { return Ok(()) };
    for data in stale::data_folders(home) {
        stale::stop_server_on(&data).await?;
    }
    // What is noted and did not happen is still a replica. PostgreSQL removes the signal before it takes the first write.
    let newest = content
        .lines()
        .map(|name| home.join(name))
        .rfind(|data| !data.join("standby.signal").exists());
    let (primary, aside) = (home.join("primary"), home.join(ASIDE));
    let rename =
        |from: &Path, to: &Path| fs::rename(from, to).map_err(LabError::file("rename", from));
    let forget = || {
        fs::remove_file(&note).and_then(|()| sync(home)).map_err(LabError::file("remove", &note))
    };
    let Some(newest) = newest.filter(|newest| *newest != primary) else { return forget() };

    // Once it has its new name it is not there any more, and was moved by a start that did not come to the end.
    if newest.exists() {
        if primary.exists() {
            cluster::remove(&aside)?;
            rename(&primary, &aside)?;
        }
        rename(&newest, &primary)?;
        sync(home).map_err(LabError::file("write", home))?;
    }
    forget()?;
    if aside.exists() { rename(&aside, &newest) } else { Ok(()) }
}

/// Names in a folder survive a power failure only when the folder itself is written.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
