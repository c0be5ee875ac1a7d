//! The grammar of Fly's replay headers: `name=value`, separated by `;`. Values may be quoted.

/// One `name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// In lower case, as names are case-insensitive.
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) is_quoted: bool,
}

/// Why a text is not a list of fields.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FieldError {
    #[error("`{0}` is not a field: write `name=value`, and `;` between fields")]
    NotAField(String),
    #[error("the quoted value of `{0}` is not closed: write `\"` at its end")]
    UnclosedQuote(String),
    #[error("`{rest}` follows the quoted value of `{name}`: write `;` between fields")]
    MissingSeparator { name: String, rest: String },
}

/// Reads all fields, in the order of the text. A `;` at the end is allowed.
pub(crate) fn read(text: &str) -> Result<Vec<Field>, FieldError> {
    let mut fields = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find([';', '=']).filter(|at| *at > 0 && rest[*at..].starts_with('='));
        let Some((name, after)) = end.map(|at| (rest[..at].trim(), rest[at + 1..].trim_start()))
        else {
            return Err(FieldError::NotAField(rest.split(';').next().unwrap_or(rest).to_owned()));
        };
        let (value, after, is_quoted) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, after) =
                    unquote(quoted).ok_or_else(|| FieldError::UnclosedQuote(name.to_owned()))?;
                (value, after.trim_start(), true)
            }
            None => {
                let (value, after) = after.split_at(after.find(';').unwrap_or(after.len()));
                (value.trim_end().to_owned(), after, false)
            }
        };
        rest = match after.strip_prefix(';') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            None => {
                return Err(FieldError::MissingSeparator {
                    name: name.to_owned(),
                    rest: after.to_owned(),
                });
            }
        };
        fields.push(Field { name: name.to_ascii_lowercase(), value, is_quoted });
    }
    Ok(fields)
}

/// Writes fields so that [`read`] returns the same ones. Quotes a value where it must be quoted.
pub(crate) fn write(fields: &[(&str, &str)]) -> String {
    let written = fields.iter().map(|(name, value)| {
        if !value.is_empty()
            && value.bytes().all(|byte| byte.is_ascii_graphic() && !b";,\"\\".contains(&byte))
        {
            format!("{name}={value}")
        } else {
            format!("{name}=\"{}\"", value.replace('\\', r"\\").replace('"', "\\\""))
        }
    });
    written.collect::<Vec<_>>().join(";")
}

/// The value up to its closing quote, and the text after that quote. A backslash escapes the next
/// character. `None` if no quote closes the value.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn written_fields_are_read_again(
            values in prop::collection::vec(("[a-z_]{1,9}", "[ -~]{0,20}"), 0..5),
        ) {
            let pairs = values.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let written = write(&pairs.collect::<Vec<_>>());
            let read = read(&written).unwrap();
            let read: Vec<_> = read.into_iter().map(|field| (field.name, field.value)).collect();
            prop_assert_eq!(read, values);
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = read(&text);
        }

        #[test]
        fn no_text_of_special_characters_panics(text in "[a=;\"\\\\, é]*") {
            let _ = read(&text);
        }
    }

    #[test]
    fn spaces_case_and_last_semicolon_are_ignored() {
        let field = |name: &str, value: &str, is_quoted| Field {
            name: name.to_owned(),
            value: value.to_owned(),
            is_quoted,
        };
        let fields = [field("region", "nrt, any", true), field("state", "a=b", false)];
        assert_eq!(read(r#" REGION = "nrt, any" ; state=a=b; "#).unwrap(), fields);
    }

    #[test]
    fn errors_name_the_mistake() {
        assert_eq!(read("nrt").unwrap_err(), FieldError::NotAField("nrt".to_owned()));
        assert_eq!(read("region=nrt;;").unwrap_err(), FieldError::NotAField(String::new()));
        assert_eq!(read("=nrt").unwrap_err(), FieldError::NotAField("=nrt".to_owned()));
        assert_eq!(
            read("region=\"nrt").unwrap_err(),
            FieldError::UnclosedQuote("region".to_owned())
        );
        let (name, rest) = ("region".to_owned(), "ord".to_owned());
        assert_eq!(
            read("region=\"nrt\" ord").unwrap_err(),
            FieldError::MissingSeparator { name, rest }
        );
    }
}
