//! The keys that sign what a visitor carries.

use std::env::VarError;
use std::fmt;

use cookie::Key;

use crate::settings::{SettingProblem, SettingsError};

/// The variable that holds the keys.
const SECRET_KEY: &str = "SECRET_KEY";

/// How long a secret is, in bytes.
const SECRET: usize = 32;

/// The keys of an app's signatures: one signs, and all verify.
///
/// To change the key without losing what visitors carry, first let every instance verify the new
/// one, then let it sign, and drop the old one after the cookies' lifetime.
#[derive(Clone)]
pub struct Keys {
    pub(super) signing: Key,
    pub(super) verifying: Vec<Key>,
}

impl Keys {
    /// The keys of the variable `SECRET_KEY`: 64 hex digits, as `openssl rand -hex 32` prints them.
    /// It may hold several secrets, separated by commas: the first signs, and all verify. Every
    /// instance needs the same.
    ///
    /// # Errors
    /// When it is not set, or holds anything else. Shows no secret.
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::from_vars(|name| std::env::var(name))
    }

    /// As [`from_env`](Self::from_env), from any environment: `var` answers like
    /// [`std::env::var`].
    ///
    /// # Errors
    /// As there.
    pub fn from_vars(
        var: impl Fn(&str) -> Result<String, VarError>,
    ) -> Result<Self, SettingsError> {
        let text = var(SECRET_KEY).unwrap_or_else(|error| match error {
            VarError::NotPresent => String::new(),
            // No hex digits either.
            VarError::NotUnicode(text) => text.to_string_lossy().into_owned(),
        });
        if text.trim().is_empty() {
            let advice = "every instance must sign with the same key: set it to 64 hex digits, as \
                          `openssl rand -hex 32` prints them";
            let (name, advice) = (SECRET_KEY.to_owned(), advice.to_owned());
            return Err(SettingProblem::Missing { name, advice }.into());
        }
        let secrets: Vec<_> = text.split(',').map(secret).collect();
        let wrong = secrets.iter().enumerate().filter(|(_, secret)| secret.is_none());
        let problems: Vec<_> = wrong.map(|(index, _)| unusable(index, secrets.len())).collect();
        let mut keys = secrets.into_iter().flatten().map(|secret| Key::derive_from(&secret));
        match keys.next().filter(|_| problems.is_empty()) {
            Some(signing) => Ok(Self::new(signing).and_verifying(keys)),
            None => Err(problems.into()),
        }
    }

    /// One key, which signs and verifies.
    #[must_use]
    pub fn new(signing: Key) -> Self {
        Self { signing, verifying: Vec::new() }
    }

    /// Adds keys that verify: retired ones, and those that are to sign next.
    #[must_use]
    pub fn and_verifying(mut self, keys: impl IntoIterator<Item = Key>) -> Self {
        self.verifying.extend(keys);
        self
    }
}

impl From<Key> for Keys {
    fn from(key: Key) -> Self {
        Self::new(key)
    }
}

/// Prints no key.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

fn secret(digits: &str) -> Option<[u8; SECRET]> {
    let mut secret = [0; SECRET];
    hex::decode_to_slice(digits.trim(), &mut secret).ok().map(|()| secret)
}

/// One of `count` secrets is no secret.
fn unusable(index: usize, count: usize) -> SettingProblem {
    let which = match count {
        1 => String::new(),
        _ => format!("key {} of {count} is wrong: ", index + 1),
    };
    let advice = format!("{which}write 64 hex digits, as `openssl rand -hex 32` prints them");
    SettingProblem::Unusable { name: SECRET_KEY.to_owned(), advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(value: &str) -> Result<Keys, String> {
        let keys = Keys::from_vars(|name| {
            assert_eq!(name, SECRET_KEY);
            Ok(value.to_owned())
        });
        keys.map_err(|error| error.to_string())
    }

    #[test]
    fn each_secret_is_64_hex_digits() {
        let (good, other) = ("5a".repeat(32), "A5".repeat(32));
        for right in [good.clone(), format!("{good},{other}"), format!(" {good} , {other}\n")] {
            let keys = keys(&right).unwrap();
            assert_eq!(keys.signing, Key::derive_from(&[0x5A; 32]), "{right}");
            assert_eq!(keys.verifying.len(), right.matches(',').count(), "{right}");
        }
        for wrong in ["5a", &"5a".repeat(31), &"5a".repeat(33), &"zz".repeat(32)] {
            let error = keys(wrong).unwrap_err();
            assert!(error.starts_with("SECRET_KEY cannot be used; write"), "{error}");
            let error = keys(&format!("{good},{wrong},{other}")).unwrap_err();
            assert!(error.starts_with("SECRET_KEY cannot be used; key 2 of 3 is wrong"), "{error}");
            assert!(!error.contains(wrong), "{error}");
        }
        for empty in [",", &format!("{good},"), &format!(",{good}")] {
            let error = keys(empty).unwrap_err();
            assert!(error.contains("of 2 is wrong"), "{error}");
        }
        for missing in ["", " \n"] {
            let error = keys(missing).unwrap_err();
            assert!(error.starts_with("SECRET_KEY is not set; "), "{error}");
        }
        assert!(Keys::from_vars(|_| Err(VarError::NotPresent)).is_err());
    }
}
