//! The grammar of Fly's headers about replays: `name=value` joined by `;`, a value in quotes where it would be misread without.

/// One `name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// In lower case: `REGION=nrt` is obeyed as well.
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) is_quoted: bool,
}

/// Why a text is no list of fields.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FieldError {
    #[error("`{0}` is no field: write `name=value`, and `;` between fields")]
    NoField(String),
    #[error("the quote that opens the value of `{0}` is never closed: write `\"` at its end")]
    Open(String),
    #[error("`{rest}` follows the quoted value of `{name}`: write `;` between fields")]
    NoSeparator { name: String, rest: String },
}

/// Reads all fields, in the order of the text. A `;` at the end is let through.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn read(text: &str) -> Result<Vec<Field>, FieldError> {
    let mut fields = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find([';', '=']).filter(|at| *at > 0 && rest[*at..].starts_with('='));
        let Some((name, after)) = end.map(|at| (rest[..at].trim(), rest[at + 1..].trim_start()))
        else {
            return Err(FieldError::NoField(rest.split(';').next().unwrap_or(rest).to_owned()));
        };
        let (value, after, is_quoted) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, after) =
                    unquoted(quoted).ok_or_else(|| FieldError::Open(name.to_owned()))?;
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
                return Err(FieldError::NoSeparator {
                    name: name.to_owned(),
                    rest: after.to_owned(),
                });
            }
        };
        fields.push(Field { name: name.to_ascii_lowercase(), value, is_quoted });
    }
    Ok(fields)
}

/// The other way round: what [`read`] reads as these fields again.
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

/// The value up to the quote that closes it, and what follows the quote; a backslash takes the meaning from the next character.
fn unquoted(text: &str) -> Option<(String, &str)> {
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
        fn whatever_is_written_is_read_again(values in prop::collection::vec(("[a-z_]{1,9}", "[ -~]{0,20}"), 0..5)) {
            let fields: Vec<_> = values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let text = write(&fields);
            let read = read(&text).unwrap();
            let read: Vec<_> = read.iter().map(|field| (field.name.as_str(), field.value.as_str())).collect();
            prop_assert_eq!(read, fields);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = read(&text);
        }

        #[test]
        fn no_text_of_its_own_characters_makes_it_panic(text in "[a=;\"\\\\, é]*") {
            let _ = read(&text);
        }
    }

    #[test]
    fn spaces_case_and_a_last_semicolon_do_not_matter() {
        let field = |name: &str, value: &str, is_quoted| Field {
            name: name.to_owned(),
            value: value.to_owned(),
            is_quoted,
        };
        let fields = [field("region", "nrt, any", true), field("state", "a=b", false)];
        assert_eq!(read(r#" REGION = "nrt, any" ; state=a=b; "#).unwrap(), fields);
    }

    #[test]
    fn mistakes() {
        assert_eq!(read("nrt").unwrap_err(), FieldError::NoField("nrt".to_owned()));
        assert_eq!(read("region=nrt;;").unwrap_err(), FieldError::NoField(String::new()));
        assert_eq!(read("=nrt").unwrap_err(), FieldError::NoField("=nrt".to_owned()));
        assert_eq!(read("region=\"nrt").unwrap_err(), FieldError::Open("region".to_owned()));
        let (name, rest) = ("region".to_owned(), "ord".to_owned());
        assert_eq!(read("region=\"nrt\" ord").unwrap_err(), FieldError::NoSeparator { name, rest });
    }
}
