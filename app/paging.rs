//! Pages of the list by keyset: a page begins behind an id, so that the last of a million rows is as near as the first.

use serde::Deserialize;

/// Rows on a page.
pub const PAGE_SIZE: u8 = 50;

/// `?after=50` or `?before=51`: where a page begins. Neither is the first page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Cursor {
    /// The page holds the first rows behind this id.
    pub after: Option<i64>,
    /// The page holds the last rows before this id.
    pub before: Option<i64>,
}

/// A page and its neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// At most [`PAGE_SIZE`] rows, in order.
    pub rows: Vec<T>,
    /// The page before this one.
    pub previous: Option<Cursor>,
    /// The page after this one.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// A page out of what was found at `cursor`: up to one row more than fits, nearest to the cursor first.
    pub fn new(cursor: Cursor, mut rows: Vec<T>, id: impl Fn(&T) -> i64) -> Self {
        let is_more = rows.len() > usize::from(PAGE_SIZE);
        rows.truncate(PAGE_SIZE.into());
        let backwards = cursor.before.is_some();
        if backwards {
            rows.reverse();
        }
        // Behind an empty page lies what its cursor came from.
        let first = rows.first().map(&id).or(cursor.after.map(|id| id.saturating_add(1)));
        let last = rows.last().map(&id).or(cursor.before.map(|id| id.saturating_sub(1)));
        let has_previous = if backwards { is_more } else { cursor.after.is_some() };
        let has_next = backwards || is_more;
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

    fn after(id: i64) -> Cursor {
        Cursor { after: Some(id), before: None }
    }

    fn before(id: i64) -> Cursor {
        Cursor { before: Some(id), after: None }
    }

    #[test]
    fn the_first_page_of_three() {
        let page = Page::new(Cursor::default(), (1..=51).collect(), |id| *id);
        assert_eq!(page.rows, (1..=50).collect::<Vec<_>>());
        assert_eq!((page.previous, page.next), (None, Some(after(50))));
    }

    #[test]
    fn the_middle_page_from_either_side() {
        let forwards = Page::new(after(50), (51..=101).collect(), |id| *id);
        assert_eq!((forwards.previous, forwards.next), (Some(before(51)), Some(after(100))));
        let backwards = Page::new(before(101), (50..=100).rev().collect(), |id| *id);
        assert_eq!(backwards, forwards);
    }

    #[test]
    fn the_last_page() {
        let page = Page::new(after(100), (101..=120).collect(), |id| *id);
        assert_eq!((page.previous, page.next), (Some(before(101)), None));
    }

    #[test]
    fn exactly_one_page() {
        let page = Page::new(Cursor::default(), (1..=50).collect(), |id| *id);
        assert_eq!((page.previous, page.next), (None, None));
    }

    #[test]
    fn an_empty_page_leads_back() {
        let behind = Page::new(after(100), Vec::<i64>::new(), |id| *id);
        assert_eq!((behind.previous, behind.next), (Some(before(101)), None));
        let ahead = Page::new(before(1), Vec::<i64>::new(), |id| *id);
        assert_eq!((ahead.previous, ahead.next), (None, Some(after(0))));
    }
}
