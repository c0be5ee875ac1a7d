//! Parses the app's pages, as far as clients need them.

use crate::workload::{Register, Version};

/// The registers on a page of the list, on a user's page or on a user's form, with their user ids.
pub(super) fn users(body: &str) -> Vec<(Register, Version, i64)> {
    let user = |name: &str, path: &str| {
        let (register, version) = Register::parse(name)?;
        Some((register, version, leading_number(path)?))
    };
    // The dialog that confirms a deletion repeats the name without a link.
    let linked = |part: &str| {
        let (name, rest) = part.split_once("</bdi>")?;
        user(name, rest.split_once("href=\"/users/")?.1)
    };
    let in_form = || {
        let (name, _) = body.split_once("type=\"text\" value=\"")?.1.split_once('"')?;
        user(name, body.split_once("action=\"/users/")?.1)
    };
    body.split("<bdi>").skip(1).filter_map(linked).chain(in_form()).collect()
}

/// The id in a path such as `/users/7`.
pub(super) fn user_id(path: &str) -> Option<i64> {
    path.strip_prefix("/users/").and_then(leading_number)
}

/// Whether the page says that a write did not happen and may be sent again.
pub(super) fn says_nothing_was_saved(body: &str) -> bool {
    body.contains("Nothing was saved")
}

fn leading_number(text: &str) -> Option<i64> {
    text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use archipelago_app::users::{DatedUser, User};
    use archipelago_app::views::{FormPage, FormTarget, IndexPage, Layout, ShowPage};

    use super::*;

    const REGISTER: Register = Register { owner: 1, number: 2 };

    fn user(id: i64, name: &str) -> User {
        User { id, name: name.to_owned(), age: 1 }
    }

    #[test]
    fn each_register_on_the_apps_pages_is_found_once() {
        let layout = Layout::default();
        let list = [user(14, "c1 r2 v3"), user(15, "Ada"), user(16, "c1 r3 v1")];
        let page = IndexPage { layout, users: &list, previous: None, next: None };
        assert_eq!(
            users(&page.to_string()),
            [(REGISTER, 3, 14), (Register { number: 3, ..REGISTER }, 1, 16)]
        );
        let (inserted_at, updated_at) = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH);
        let dated = DatedUser { user: list[0].clone(), inserted_at, updated_at };
        let page = ShowPage::new(layout, &dated);
        assert_eq!(users(&page.to_string()), [(REGISTER, 3, 14)]);
        let target = FormTarget::Edit { id: 14 };
        let page = FormPage {
            layout,
            target,
            name: "c1 r2 v3",
            age: "1",
            name_error: None,
            age_error: None,
            problem: None,
        };
        assert_eq!(users(&page.to_string()), [(REGISTER, 3, 14)]);
    }

    #[test]
    fn a_path_holds_the_user_id() {
        assert_eq!(user_id("/users/14"), Some(14));
        assert_eq!(user_id("/users"), None);
    }
}
