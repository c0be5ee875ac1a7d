//! The app's pages, as far as the visitors read them.

use crate::row::{Row, Version};

/// The rows on a page of one user, or of the list, with the ids that their links have.
#[must_use]
pub fn rows(body: &str) -> Vec<(Row, Version, Option<i64>)> {
    let row = |part: &str| {
        let (name, rest) = part.split_once("</bdi>")?;
        let (row, version) = Row::parse(name)?;
        Some((row, version, rest.split_once("href=\"/users/").and_then(|(_, path)| leading_number(path))))
    };
    body.split("<bdi>").skip(1).filter_map(row).collect()
}

/// The id in a path such as `/users/7`.
#[must_use]
pub fn id(path: &str) -> Option<i64> {
    path.strip_prefix("/users/").and_then(leading_number)
}

/// Whether a page says that a write did not happen, and that it may be sent again.
#[must_use]
pub fn says_nothing_was_saved(body: &str) -> bool {
    body.contains("Nothing was saved")
}

fn leading_number(text: &str) -> Option<i64> {
    text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_and_a_user() {
        let list =
            r#"<th><bdi>v1 r2 s3</bdi></th><td><a href="/users/14">Show</a></td><th><bdi>Ada</bdi></th><a href="/users/15">"#;
        assert_eq!(rows(list), [(Row { owner: 1, number: 2 }, 3, Some(14))]);
        assert_eq!(rows("<dd><bdi>v1 r2 s3</bdi></dd>"), [(Row { owner: 1, number: 2 }, 3, None)]);
        assert_eq!(id("/users/14"), Some(14));
        assert_eq!(id("/users"), None);
    }
}
