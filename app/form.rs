//! The form of a user: its fields as they were typed, and what is wrong with them.

use icu_properties::CodePointSetData;
use icu_properties::props::{BidiControl, BinaryProperty, DefaultIgnorableCodePoint, WhiteSpace};
use serde::Deserialize;
use uuid::Uuid;

use crate::users::{Changes, MAX_AGE, MAX_NAME, NewUser};

/// The fields as they were typed; none for a field that was not sent.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct UserForm {
    /// What the POST of an HTML form means: `put`, `patch` or `delete`.
    #[serde(rename = "_method")]
    pub method: Option<String>,
    /// The UUID of this form: it creates one user, even if it arrives more than once.
    #[serde(rename = "_key")]
    pub key: Option<String>,
    #[serde(rename = "user[name]")]
    pub name: Option<String>,
    #[serde(rename = "user[age]")]
    pub age: Option<String>,
}

/// What a POST to a user means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Update,
    Delete,
}

/// What is wrong with each field, to be shown beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors {
    pub name: Option<&'static str>,
    pub age: Option<&'static str>,
}

impl UserForm {
    /// What the field `_method` says, in any case of letters; none if it names no known method.
    pub(crate) fn method(&self) -> Option<Method> {
        match self.method.as_deref()?.to_ascii_lowercase().as_str() {
            "put" | "patch" => Some(Method::Update),
            "delete" => Some(Method::Delete),
            _ => None,
        }
    }

    /// The form's key, if it has one. Fails if that is no UUID.
    pub fn key(&self) -> Result<Option<Uuid>, uuid::Error> {
        self.key.as_deref().map(str::parse).transpose()
    }

    /// The user to create. A missing field counts as an empty one.
    pub fn user(&self) -> Result<NewUser, FieldErrors> {
        match (
            parse_name(self.name.as_deref().unwrap_or_default()),
            parse_age(self.age.as_deref().unwrap_or_default()),
        ) {
            (Ok(name), Ok(age)) => Ok(NewUser { name, age }),
            (name, age) => Err(FieldErrors { name: name.err(), age: age.err() }),
        }
    }

    /// The changes to make: those of the fields that were sent. A form without any field is wrong,
    /// as [`user`](Self::user) says.
    pub(crate) fn changes(&self) -> Result<Changes, FieldErrors> {
        if self.name.is_none() && self.age.is_none() {
            return self
                .user()
                .map(|NewUser { name, age }| Changes { name: Some(name), age: Some(age) });
        }
        match (
            self.name.as_deref().map(parse_name).transpose(),
            self.age.as_deref().map(parse_age).transpose(),
        ) {
            (Ok(name), Ok(age)) => Ok(Changes { name, age }),
            (name, age) => Err(FieldErrors { name: name.err(), age: age.err() }),
        }
    }
}

fn parse_name(typed: &str) -> Result<String, &'static str> {
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

/// Whether the character shows nothing: a name of only such would be an empty row. The pattern of
/// Braille without dots is the one that has no property for it.
fn is_invisible(c: char) -> bool {
    has::<WhiteSpace>(c) || has::<DefaultIgnorableCodePoint>(c) || is_control(c) || c == '\u{2800}'
}

/// Whether the character is a control or ends a line. Those of the writing direction count: they could
/// reverse the text around a name.
fn is_control(c: char) -> bool {
    c.is_control() || has::<BidiControl>(c) && !is_mark(c) || matches!(c, '\u{2028}' | '\u{2029}')
}

/// The marks of direction change nothing behind the next letter, and belong to names.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}')
}

fn has<P: BinaryProperty>(c: char) -> bool {
    CodePointSetData::new::<P>().contains(c)
}

fn parse_age(typed: &str) -> Result<i32, &'static str> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};

    match typed.trim() {
        "" => Err("Write an age."),
        typed => match typed.parse::<i32>() {
            Ok(age) if (0..=MAX_AGE).contains(&age) => Ok(age),
            Err(error) if !matches!(error.kind(), PosOverflow | NegOverflow) => {
                Err("Write the age as a whole number.")
            }
            Ok(_) | Err(_) => Err("Write an age from 0 to 150."),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    fn form(name: &str, age: &str) -> UserForm {
        UserForm { name: Some(name.to_owned()), age: Some(age.to_owned()), ..UserForm::default() }
    }

    #[test]
    fn a_name_is_visible_text_of_at_most_100_characters() {
        const EMPTY: Result<&str, &str> = Err("Write a name.");
        const CONTROL: Result<&str, &str> =
            Err("Leave out control characters such as line breaks.");
        let (longest, too_long) = ("é".repeat(100), "é".repeat(101));
        for (typed, expected) in [
            ("Ada", Ok("Ada")),
            ("  Ada Lovelace ", Ok("Ada Lovelace")),
            (&longest, Ok(&*longest)),
            (&too_long, Err("Write at most 100 characters.")),
            ("", EMPTY),
            (" ", EMPTY),
            ("\u{200b}\u{feff}", EMPTY),
            ("\u{3164}\u{ffa0}\u{115f}\u{1160}", EMPTY),
            ("\u{2800}\u{180e}\u{34f}\u{fe0f}", EMPTY),
            ("\u{e0041}\u{206a}\u{61c}\u{2028}", EMPTY),
            ("می\u{200c}خواهم", Ok("می\u{200c}خواهم")),
            ("👩\u{200d}🚀", Ok("👩\u{200d}🚀")),
            ("שרה\u{200e}", Ok("שרה\u{200e}")),
            ("a\0b", CONTROL),
            ("a\nb", CONTROL),
            ("a\u{2028}b", CONTROL),
            ("a\u{2066}b", CONTROL),
            ("\u{202e}Ada", CONTROL),
            ("\u{fffd}\u{fffd}", Err("Write the name as text in UTF-8.")),
        ] {
            assert_eq!(parse_name(typed), expected.map(str::to_owned), "{typed:?}");
        }
    }

    #[test]
    fn an_age_is_a_whole_number_from_0_to_150() {
        const OUT_OF_RANGE: Result<i32, &str> = Err("Write an age from 0 to 150.");
        const NO_NUMBER: Result<i32, &str> = Err("Write the age as a whole number.");
        for (typed, expected) in [
            ("0", Ok(0)),
            (" 36 ", Ok(36)),
            ("150", Ok(150)),
            ("151", OUT_OF_RANGE),
            ("-1", OUT_OF_RANGE),
            ("99999999999", OUT_OF_RANGE),
            ("-99999999999", OUT_OF_RANGE),
            ("3.5", NO_NUMBER),
            ("old", NO_NUMBER),
            ("", Err("Write an age.")),
            (" ", Err("Write an age.")),
        ] {
            assert_eq!(parse_age(typed), expected, "{typed:?}");
        }
    }

    #[test]
    fn a_new_user_needs_both_fields() {
        let expected = NewUser { name: "Ada".to_owned(), age: 36 };
        assert_eq!(form("Ada", "36").user(), Ok(expected));
        let errors = FieldErrors { name: Some("Write a name."), age: Some("Write an age.") };
        assert_eq!(UserForm::default().user(), Err(errors));
    }

    #[test]
    fn changes_are_those_of_the_fields_that_were_sent() {
        let patch = UserForm { age: Some("37".to_owned()), ..UserForm::default() };
        assert_eq!(patch.changes(), Ok(Changes { name: None, age: Some(37) }));
        let both = Changes { name: Some("Ada".to_owned()), age: Some(36) };
        assert_eq!(form("Ada", "36").changes(), Ok(both));
        let errors = FieldErrors { name: None, age: Some("Write an age from 0 to 150.") };
        assert_eq!(form("Ada", "151").changes(), Err(errors));
        assert!(UserForm::default().changes().is_err(), "nothing to change");
    }

    #[test]
    fn a_key_is_a_uuid_or_not_there() {
        let key = |key: &str| UserForm { key: Some(key.to_owned()), ..UserForm::default() }.key();
        assert_eq!(UserForm::default().key(), Ok(None));
        assert!(key("67e55044-10b1-426f-9247-bb680e5fe0c8").is_ok_and(|key| key.is_some()));
        assert!(key("").is_err(), "an empty key is no missing key");
    }

    #[test]
    fn a_form_names_its_method() {
        for (method, expected) in [
            ("put", Some(Method::Update)),
            ("PATCH", Some(Method::Update)),
            ("delete", Some(Method::Delete)),
            ("post", None),
            ("", None),
        ] {
            let form = UserForm { method: Some(method.to_owned()), ..UserForm::default() };
            assert_eq!(form.method(), expected, "{method:?}");
        }
        assert_eq!(UserForm::default().method(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 100_000,
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(16),
            ..ProptestConfig::default()
        })]

        #[test]
        fn what_is_taken_is_in_bounds(
            name in prop::option::of(".{0,110}"),
            age in prop::option::of("[ +-]?[0-9]{0,12}.?"),
            method in prop::option::of(".{0,8}"),
            key in prop::option::of(".{0,40}"),
        ) {
            let form = UserForm { method, key, name, age };
            let _ = (form.method(), form.key());
            let changes = form.changes();
            if let Ok(user) = form.user() {
                let length = user.name.chars().count();
                prop_assert!((1..=MAX_NAME).contains(&length) && (0..=MAX_AGE).contains(&user.age));
                prop_assert!(!user.name.chars().any(char::is_control));
                let expected = Changes { name: Some(user.name), age: Some(user.age) };
                prop_assert_eq!(changes, Ok(expected));
            }
        }
    }
}
