//! What `pg_current_wal_insert_lsn()` means for somebody who waits for it on a replica.

use tokio_postgres::types::PgLsn;

/// PostgreSQL's `XLOG_BLCKSZ`; another needs a server that was built so.
const PAGE: u64 = 8192;
/// What `initdb` chooses, and the lab leaves.
const SEGMENT: u64 = 16 * 1024 * 1024;
/// `SizeOfXLogShortPHD`: the header of a page.
const HEADER: u64 = 24;
/// `SizeOfXLogLongPHD`: the header of the first page of a segment.
const LONG_HEADER: u64 = 40;

/// The end of the last record before an insert position.
///
/// When that record ends with its page, or a segment has just been switched, the insert position is
/// already behind the header of the next page, where no record ends: a replica would reach it only
/// with the next record, which on an idle primary may be 15 seconds away.
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
    fn a_position_behind_a_header_is_the_end_of_the_page_before() {
        let ends = |lsn: u64| u64::from(end_of_record(PgLsn::from(lsn)));
        assert_eq!(ends(3 * SEGMENT + 40), 3 * SEGMENT, "after the switch of a segment");
        assert_eq!(ends(3 * SEGMENT + 2 * PAGE + 24), 3 * SEGMENT + 2 * PAGE);
        assert_eq!(ends(3 * SEGMENT + 2 * PAGE + 40), 3 * SEGMENT + 2 * PAGE + 40, "a record");
        assert_eq!(ends(3 * SEGMENT + 64), 3 * SEGMENT + 64, "a record");
    }
}
