//! What the control file in a data folder says, and the version that made the data.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use tokio_postgres::types::PgLsn;

/// The identifier that `initdb` gave to this data and all its copies; `None` if the data is not
/// complete. (`ControlFileData` in `pg_control.h` begins with it in every version.)
pub(crate) fn system_identifier(data: &Path) -> Option<u64> {
    read(data).map(u64::from_ne_bytes)
}

/// Where the last checkpoint begins: after an orderly shutdown, the end of the log.
/// (`ControlFileData.checkPoint` is at the same offset in all versions that the lab supports.)
pub(crate) fn last_checkpoint(data: &Path) -> Option<PgLsn> {
    let bytes: [u8; 40] = read(data)?;
    let (_, checkpoint) = bytes.split_last_chunk()?;
    Some(PgLsn::from(u64::from_ne_bytes(*checkpoint)))
}

/// The timeline of the last checkpoint. (`ControlFileData.checkPointCopy.ThisTimeLineID` is at the
/// same offset in all versions that the lab supports.)
pub(crate) fn timeline(data: &Path) -> Option<u32> {
    let bytes: [u8; 52] = read(data)?;
    let (_, timeline) = bytes.split_last_chunk()?;
    Some(u32::from_ne_bytes(*timeline))
}

/// The major version of PostgreSQL that made the data.
pub(crate) fn made_with(data: &Path) -> Option<u32> {
    fs::read_to_string(data.join("PG_VERSION")).ok()?.trim().parse().ok()
}

/// The first bytes of the control file.
fn read<const N: usize>(data: &Path) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    File::open(data.join("global/pg_control")).ok()?.read_exact(&mut bytes).ok()?;
    Some(bytes)
}
