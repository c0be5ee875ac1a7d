//! The app's pages, as far as the visitors read them.

use crate::workload::register::{Row, Version};

/// The rows of the list, of a page of one user, or of a user's form, with their ids.
#[must_use]
pub fn rows(body: &str) -> Vec<(Row, Version, i64)> {
    let row = |name: &str, path: &str| {
        let (row, version) = Row::parse(name)?;
        Some((row, version, leading_number(path)?))
    };
    // The question before a user is deleted has the name once more, and no link.
    let shown = |part: &str| {
        let (name, rest) = part.split_once("</bdi>")?;
        row(name, rest.split_once("href=\"/users/")?.1)
    };
    let typed = || {
        let (name, _) = body.split_once("type=\"text\" value=\"")?.1.split_once('"')?;
        row(name, body.split_once("action=\"/users/")?.1)
    };
    body.split("<bdi>").skip(1).filter_map(shown).chain(typed()).collect()
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
    use archipelago_app::users::User;
    use archipelago_app::views::{FormPage, FormTarget, Frame, IndexPage, ShowPage};

    use super::*;

    const ROW: Row = Row { owner: 1, number: 2 };

    fn user(id: i64, name: &str) -> User {
        User { id, name: name.to_owned(), age: 1 }
    }

    #[test]
    fn each_row_of_the_apps_pages_once() {
        let frame = Frame::default();
        let users = [user(14, "v1 r2 s3"), user(15, "Ada"), user(16, "v1 r3 s1")];
        let list = IndexPage { frame, users: &users, previous: None, next: None };
        assert_eq!(rows(&list.to_string()), [(ROW, 3, 14), (Row { number: 3, ..ROW }, 1, 16)]);
        assert_eq!(rows(&ShowPage { frame, user: &users[0] }.to_string()), [(ROW, 3, 14)]);
        let target = FormTarget::Edit { id: 14 };
        let form = FormPage {
            frame,
            target,
            name: "v1 r2 s3",
            age: "1",
            name_error: None,
            age_error: None,
            problem: None,
        };
        assert_eq!(rows(&form.to_string()), [(ROW, 3, 14)]);
    }

    #[test]
    fn where_a_user_is() {
        assert_eq!(id("/users/14"), Some(14));
        assert_eq!(id("/users"), None);
    }
}
