//! The instructions that a request may cost: those of `benches/instructions.toml`.

use serde::Deserialize;

use crate::Failed;
use crate::browser::Page;

/// The part of a figure by which a count may differ from it. Counts of one build differ by up to 0.016.
const TOLERANCE: f64 = 0.02;

/// The committed figures: the instructions of a request for each page.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Committed {
    user: f64,
    list: f64,
    create: f64,
}

impl Committed {
    /// Reads the committed figures.
    ///
    /// # Errors
    /// When the file is no TOML of figures.
    pub fn read() -> Result<Self, Failed> {
        Ok(toml::from_str(include_str!("../../instructions.toml"))?)
    }

    /// What to do where a count differs.
    #[must_use]
    pub fn difference(&self, page: Page, counted: f64) -> Option<String> {
        let committed = match page {
            Page::User => self.user,
            Page::List => self.list,
            Page::Create => self.create,
        };
        let ratio = counted / committed;
        let advice = match ratio {
            _ if (ratio - 1.0).abs() <= TOLERANCE => return None,
            _ if ratio > 1.0 => "find out why; if it is worth that, raise the figure",
            _ => "lower the figure, so that it stays so",
        };
        Some(format!(
            "a request for the page `{}` costs {counted:.0} instructions, {ratio:.3} of the \
             {committed:.0} in benches/instructions.toml: {advice}",
            page.name()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_differs_by_more_than_the_tolerance_is_told() {
        let committed = Committed { user: 1000.0, list: 5000.0, create: 2000.0 };
        for (page, counted, expected) in [
            (Page::User, 1000.0, None),
            (Page::User, 1019.0, None),
            (Page::List, 4901.0, None),
            (Page::User, 1021.0, Some("1.021")),
            (Page::List, 4899.0, Some("lower the figure")),
            (Page::Create, 3000.0, Some("raise the figure")),
        ] {
            let difference = committed.difference(page, counted);
            let is_right = match (&difference, expected) {
                (Some(told), Some(expected)) => told.contains(expected),
                (told, expected) => told.is_none() && expected.is_none(),
            };
            assert!(is_right, "{page:?} {counted}: {difference:?}");
        }
        assert!(Committed::read().is_ok());
    }
}
