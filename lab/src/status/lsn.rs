//! Positions in the log in JSON, as PostgreSQL writes them: `0/3000148`.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};
use tokio_postgres::types::PgLsn;

#[expect(clippy::ref_option, reason = "what serde passes")]
pub(super) fn serialize<S: Serializer>(
    lsn: &Option<PgLsn>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match lsn {
        Some(lsn) => serializer.collect_str(lsn),
        None => serializer.serialize_none(),
    }
}

pub(super) fn deserialize<'a, D: Deserializer<'a>>(
    deserializer: D,
) -> Result<Option<PgLsn>, D::Error> {
    let written = Option::<String>::deserialize(deserializer)?;
    let parse = |lsn: String| {
        lsn.parse()
            .map_err(|_| D::Error::custom(format!("`{lsn}` is no position, such as 0/3000148")))
    };
    written.map(parse).transpose()
}
