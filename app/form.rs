//! The form of a user: what a visitor typed, and what is wrong with it.

use serde::Deserialize;
use uuid::Uuid;

use crate::users::{Changes, MAX_AGE, MAX_NAME, NewUser};

/// The fields as they were typed. A field that was not sent is none.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct UserForm {
    /// What an HTML form means by its POST: `put`, `patch` or `delete`.
    #[serde(rename = "_method")]
    pub method: Option<String>,
    /// A UUID that the form of a new user was made with, so that it creates one user however often it arrives.
    #[serde(rename = "_key")]
    pub key: Option<String>,
    /// Any text.
    #[serde(rename = "user[name]")]
    pub name: Option<String>,
    /// Any text; a number is wanted.
    #[serde(rename = "user[age]")]
    pub age: Option<String>,
}

/// What is wrong with the fields, to stand beside them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors {
    /// Of the name.
    pub name: Option<&'static str>,
    /// Of the age.
    pub age: Option<&'static str>,
}

impl UserForm {
    /// The form's key, if it has one.
    ///
    /// # Errors
    /// When it is no UUID.
    pub fn key(&self) -> Result<Option<Uuid>, uuid::Error> {
        self.key.as_deref().map(str::parse).transpose()
    }

    /// A whole user.
    ///
    /// # Errors
    /// What is wrong with each field.
    pub fn user(&self) -> Result<NewUser, FieldErrors> {
        match (
            name(self.name.as_deref().unwrap_or_default()),
            age(self.age.as_deref().unwrap_or_default()),
        ) {
            (Ok(name), Ok(age)) => Ok(NewUser { name, age }),
            (name, age) => Err(FieldErrors { name: name.err(), age: age.err() }),
        }
    }

    /// The fields that were sent, at least one.
    ///
    /// # Errors
    /// What is wrong with each field; without any field, what is wrong with an empty form.
    pub fn changes(&self) -> Result<Changes, FieldErrors> {
        if self.name.is_none() && self.age.is_none() {
            return self
                .user()
                .map(|NewUser { name, age }| Changes { name: Some(name), age: Some(age) });
        }
        match (self.name.as_deref().map(name).transpose(), self.age.as_deref().map(age).transpose())
        {
            (Ok(name), Ok(age)) => Ok(Changes { name, age }),
            (name, age) => Err(FieldErrors { name: name.err(), age: age.err() }),
        }
    }
}

fn name(typed: &str) -> Result<String, &'static str> {
    let name = typed.trim();
    match name.chars().count() {
        _ if name.chars().all(is_invisible) => Err("Write a name."),
        1..=MAX_NAME if name.contains(char::REPLACEMENT_CHARACTER) => {
            Err("Write the name as text in UTF-8.")
        }
        1..=MAX_NAME if name.chars().any(is_control) => {
            Err("Leave out control characters such as line breaks.")
        }
        1..=MAX_NAME => Ok(name.to_owned()),
        _ => Err("Write at most 100 characters."),
    }
}

/// White space, and what has no width: a name of these alone would be an empty row.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// Also the controls of writing direction, which could turn the text around a name.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn age(typed: &str) -> Result<i32, &'static str> {
    match typed.trim() {
        "" => Err("Write an age."),
        typed => match typed.parse::<i32>() {
            Ok(age) if (0..=MAX_AGE).contains(&age) => Ok(age),
            Ok(_) => Err("Write an age from 0 to 150."),
            Err(error) => match error.kind() {
                std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
                    Err("Write an age from 0 to 150.")
                }
                _ => Err("Write the age as a whole number."),
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(name: &str, age: &str) -> UserForm {
        UserForm { name: Some(name.to_owned()), age: Some(age.to_owned()), ..UserForm::default() }
    }

    #[test]
    fn a_good_user_is_trimmed() {
        assert_eq!(
            form("  Ada Lovelace ", " 36 ").user(),
            Ok(NewUser { name: "Ada Lovelace".to_owned(), age: 36 })
        );
    }

    #[test]
    fn names_have_bounds() {
        let error = |typed: &str| form(typed, "1").user().err().and_then(|errors| errors.name);
        assert_eq!(error(" "), Some("Write a name."));
        assert_eq!(error(&"é".repeat(100)), None, "characters, not bytes");
        assert_eq!(error(&"é".repeat(101)), Some("Write at most 100 characters."));
        assert_eq!(error("\u{200b}\u{feff}"), Some("Write a name."), "nothing to see");
        assert_eq!(
            error("\u{202e}Ada"),
            Some("Leave out control characters such as line breaks."),
            "written backwards"
        );
        assert_eq!(error("\u{fffd}\u{fffd}"), Some("Write the name as text in UTF-8."));
        assert_eq!(error("می\u{200c}خواهم"), None, "a joiner inside a word");
        assert_eq!(error("a\0b"), Some("Leave out control characters such as line breaks."));
    }

    #[test]
    fn ages_have_bounds() {
        let error = |typed: &str| form("Ada", typed).user().err().and_then(|errors| errors.age);
        assert_eq!(error("0"), None);
        assert_eq!(error("150"), None);
        assert_eq!(error("151"), Some("Write an age from 0 to 150."));
        assert_eq!(error("-1"), Some("Write an age from 0 to 150."));
        assert_eq!(error("99999999999"), Some("Write an age from 0 to 150."));
        assert_eq!(error("3.5"), Some("Write the age as a whole number."));
        assert_eq!(error(""), Some("Write an age."));
    }

    #[test]
    fn both_fields_are_reported_at_once() {
        let errors = UserForm::default().user().unwrap_err();
        assert_eq!(errors, FieldErrors { name: Some("Write a name."), age: Some("Write an age.") });
    }

    #[test]
    fn a_key_is_a_uuid_or_not_there() {
        let key = |key: &str| UserForm { key: Some(key.to_owned()), ..UserForm::default() }.key();
        assert_eq!(UserForm::default().key(), Ok(None));
        assert!(key("67e55044-10b1-426f-9247-bb680e5fe0c8").is_ok_and(|key| key.is_some()));
        assert!(key("").is_err(), "whoever sends a key wants it to count");
    }

    #[test]
    fn a_patch_keeps_what_it_does_not_send() {
        let patch = UserForm { age: Some("37".to_owned()), ..UserForm::default() };
        assert_eq!(patch.changes(), Ok(Changes { name: None, age: Some(37) }));
        assert!(UserForm::default().changes().is_err(), "nothing to change");
    }
}
