//! Where a server's write-ahead log has headers, behind which no record ends.

/// The header of a page, in bytes: `SizeOfXLogShortPHD` in PostgreSQL's `xlog_internal.h`.
const PAGE_HEADER: u64 = 24;

/// The header of a segment's first page, in bytes: `SizeOfXLogLongPHD`.
const SEGMENT_HEADER: u64 = 40;

/// The sizes of the log's parts in bytes. They stay as the database was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogLayout {
    pub(crate) page: u64,
    pub(crate) segment: u64,
}

impl Default for LogLayout {
    /// As PostgreSQL is built and `initdb` creates a database.
    fn default() -> Self {
        Self { page: 8 << 10, segment: 16 << 20 }
    }
}

impl LogLayout {
    /// The end of the last record, where a primary has inserted up to `lsn`. When a record ends with
    /// its page, the insert position is already behind the header of the next one. A replica never
    /// gets there before the next record.
    pub(crate) fn end_of_record(self, lsn: u64) -> u64 {
        // Not `%`, which panics where a foreign server says 0.
        let is_in = |part: u64, place: u64| lsn.checked_rem(part) == Some(place);
        if is_in(self.segment, SEGMENT_HEADER) {
            lsn - SEGMENT_HEADER
        } else if is_in(self.page, PAGE_HEADER) {
            lsn - PAGE_HEADER
        } else {
            lsn
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_record_ends_behind_a_header() {
        let (page, segment) = (8 << 10, 16 << 20);
        let table = [
            ("within a page", 5 * page + 1000, 5 * page + 1000),
            ("at the end of a page", 6 * page, 6 * page),
            ("behind the header of a page", 6 * page + 24, 6 * page),
            ("a record that goes on for 16 bytes", 6 * page + 40, 6 * page + 40),
            ("behind the header of a segment", 3 * segment + 40, 3 * segment),
        ];
        for (story, lsn, expected) in table {
            assert_eq!(LogLayout { page, segment }.end_of_record(lsn), expected, "{story}");
        }
    }
}
