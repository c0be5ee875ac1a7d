//! From `pg_current_wal_insert_lsn()` to a position that a replica reaches.

use tokio_postgres::types::PgLsn;

/// PostgreSQL's `XLOG_BLCKSZ`, unless a server was built with another.
const PAGE: u64 = 8192;
/// The segment size that `initdb` chooses by default.
const SEGMENT: u64 = 16 * 1024 * 1024;
/// `SizeOfXLogShortPHD`: the header of a page.
const HEADER: u64 = 24;
/// `SizeOfXLogLongPHD`: the header of the first page of a segment.
const LONG_HEADER: u64 = 40;

/// The end of the last record before an insert position.
///
/// After a record that ends with its page, and after a switch of segments, the insert position is
/// behind the header of the next page. No record ends there: a replica reaches it only with the
/// next record, which an idle primary may write 15 seconds later.
pub(crate) fn end_of_record(insert: PgLsn) -> PgLsn {
    let lsn = u64::from(insert);
    if lsn % SEGMENT == LONG_HEADER {
        PgLsn::from(lsn - LONG_HEADER)
    } else if lsn % PAGE == HEADER {
        PgLsn::from(lsn - HEADER)
    } else {
        insert
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_behind_a_header_ends_the_page_before() {
        let ends = |lsn: u64| u64::from(end_of_record(PgLsn::from(lsn)));
        assert_eq!(ends(3 * SEGMENT + 40), 3 * SEGMENT, "after the switch of a segment");
        assert_eq!(ends(3 * SEGMENT + 2 * PAGE + 24), 3 * SEGMENT + 2 * PAGE);
        assert_eq!(ends(3 * SEGMENT + 2 * PAGE + 40), 3 * SEGMENT + 2 * PAGE + 40, "a record");
        assert_eq!(ends(3 * SEGMENT + 64), 3 * SEGMENT + 64, "a record");
    }
}
