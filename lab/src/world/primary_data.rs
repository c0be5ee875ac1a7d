//! Which folder holds the primary's data after a promotion.
//!
//! The folders of running servers keep their names. Each promotion first appends the name of the
//! new primary's folder to the file `promotions`. The next start renames the folders accordingly,
//! before any server runs. A crash in any step loses nothing.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::LabError;
use crate::cleanup::{orphans, remove_folder};
use crate::layout::{self, PRIMARY, PROMOTIONS};
use crate::world_dir::WorldDir;

/// Holds the old primary's data while the folders are renamed. The next start removes it after a
/// crash.
const ASIDE: &str = "primary.before";

/// Records that the server with this data is about to become the primary; the record survives a
/// power failure.
pub(super) fn record(dir: &WorldDir, data: &Path) -> Result<(), LabError> {
    let Some(name) = data.file_name().filter(|_| !dir.is_temporary()) else { return Ok(()) };
    let (file, new) = (dir.home.join(PROMOTIONS), dir.home.join("promotions.new"));
    let write = || {
        let mut content = fs::read(&file).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(Vec::new()),
            _ => Err(error),
        })?;
        content.extend(name.as_encoded_bytes());
        content.push(b'\n');
        let mut unfinished =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        unfinished.write_all(&content)?;
        unfinished.sync_all()?;
        dir.share(&new)?;
        fs::rename(&new, &file)?;
        sync(&dir.home)
    };
    write().map_err(LabError::file("write", &file))
}

/// Swaps the folder `primary` with that of the newest primary's data. The old primary's may be a
/// usable replica's by now.
pub(super) async fn settle(home: &Path) -> Result<(), LabError> {
    let file = home.join(PROMOTIONS);
    let Ok(content) = fs::read_to_string(&file) else { return Ok(()) };
    for data in layout::data_folders(home) {
        orphans::stop_server_on(&data).await?;
    }
    // A promotion that was recorded and did not happen has left a replica, whose folder holds
    // `standby.signal`: PostgreSQL removes that before a new primary takes its first write.
    let newest = content
        .lines()
        .map(|name| home.join(name))
        .rfind(|data| !data.join("standby.signal").exists());
    let (primary, aside) = (home.join(PRIMARY), home.join(ASIDE));
    let rename =
        |from: &Path, to: &Path| fs::rename(from, to).map_err(LabError::file("rename", from));
    let remove_record = || {
        fs::remove_file(&file).and_then(|()| sync(home)).map_err(LabError::file("remove", &file))
    };
    let Some(newest) = newest.filter(|newest| *newest != primary) else { return remove_record() };

    // If it does not exist, a start that was killed has renamed it already.
    if newest.exists() {
        if primary.exists() {
            remove_folder(&aside)?;
            rename(&primary, &aside)?;
        }
        rename(&newest, &primary)?;
        sync(home).map_err(LabError::file("write", home))?;
    }
    remove_record()?;
    if aside.exists() { rename(&aside, &newest) } else { Ok(()) }
}

/// Writes a folder to the disk, without which renames in it may not survive a power failure.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
