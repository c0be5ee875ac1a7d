//! Keyset paging: a page starts after an id instead of an offset, so that the last page of a
//! million rows is as fast as the first.

use serde::Deserialize;

/// Rows on a page.
pub const PAGE_SIZE: u8 = 50;

/// Where a page is: `?after=50` or `?before=51`, or neither for the first page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Cursor {
    /// The page has the first rows after this id.
    pub after: Option<i64>,
    /// The page has the last rows before this id.
    pub before: Option<i64>,
}

/// The rows of a page, and where its neighbours are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// At most [`PAGE_SIZE`] rows, by ascending id.
    pub rows: Vec<T>,
    /// The page before this one.
    pub previous: Option<Cursor>,
    /// The page after this one.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page of the rows found at `cursor`: the nearest to the cursor first, and one more
    /// than fits if there are more.
    pub fn new(cursor: Cursor, mut rows: Vec<T>, id: impl Fn(&T) -> i64) -> Self {
        let has_more = rows.len() > usize::from(PAGE_SIZE);
        rows.truncate(PAGE_SIZE.into());
        let is_backwards = cursor.before.is_some();
        if is_backwards {
            rows.reverse();
        }
        // An empty page leads back to the page that its cursor came from.
        let first = rows.first().map(&id).or(cursor.after.map(|id| id.saturating_add(1)));
        let last = rows.last().map(&id).or(cursor.before.map(|id| id.saturating_sub(1)));
        let has_previous = if is_backwards { has_more } else { cursor.after.is_some() };
        let has_next = is_backwards || has_more;
        Self {
            rows,
            previous: first
                .filter(|_| has_previous)
                .map(|id| Cursor { before: Some(id), after: None }),
            next: last.filter(|_| has_next).map(|id| Cursor { after: Some(id), before: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Cursor = Cursor { after: None, before: None };

    fn after(id: i64) -> Cursor {
        Cursor { after: Some(id), before: None }
    }

    fn before(id: i64) -> Cursor {
        Cursor { before: Some(id), after: None }
    }

    /// The rows that the query at `cursor` finds in a table with the ids 1 to `last`.
    fn found(cursor: Cursor, last: i64) -> Vec<i64> {
        let ids = 1..=last;
        let limit = usize::from(PAGE_SIZE) + 1;
        match cursor {
            Cursor { before: Some(id), .. } => {
                ids.rev().filter(|found| *found < id).take(limit).collect()
            }
            Cursor { after, .. } => {
                ids.filter(|found| after.is_none_or(|id| *found > id)).take(limit).collect()
            }
        }
    }

    fn ids(first: i64, last: i64) -> Vec<i64> {
        (first..=last).collect()
    }

    #[test]
    fn each_page_and_its_neighbours() {
        let (middle, end) = (ids(51, 100), ids(101, 120));
        for (what, last, cursor, rows, previous, next) in [
            ("an empty table", 0, FIRST, vec![], None, None),
            ("exactly one page", 50, FIRST, ids(1, 50), None, None),
            ("the first of two pages", 51, FIRST, ids(1, 50), None, Some(after(50))),
            ("forwards", 120, after(50), middle.clone(), Some(before(51)), Some(after(100))),
            ("backwards", 120, before(101), middle, Some(before(51)), Some(after(100))),
            ("the last page", 120, after(100), end, Some(before(101)), None),
            ("back to the first page", 120, before(51), ids(1, 50), None, Some(after(50))),
            ("after the last row", 100, after(100), vec![], Some(before(101)), None),
            ("before the first row", 100, before(1), vec![], None, Some(after(0))),
        ] {
            let page = Page::new(cursor, found(cursor, last), |id| *id);
            assert_eq!(page, Page { rows, previous, next }, "{what}");
        }
    }
}
