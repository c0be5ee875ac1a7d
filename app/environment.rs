//! Environment variables: how they are read, and how some of them are overridden.

#[cfg(feature = "lab")]
use std::collections::HashMap;
use std::env::VarError;

/// Reads a variable, as [`std::env::var`] does. Tests read from a map instead.
pub trait Vars: Fn(&str) -> Result<String, VarError> {}

impl<V: Fn(&str) -> Result<String, VarError>> Vars for V {}

/// A variable of this process.
pub(crate) fn process_env(name: &str) -> Result<String, VarError> {
    std::env::var(name)
}

/// Whether the variable is there and not empty. One that is no text is there.
pub(crate) fn is_set(vars: &impl Vars, name: &str) -> bool {
    match vars(name) {
        Ok(value) => !value.is_empty(),
        Err(VarError::NotUnicode(_)) => true,
        Err(VarError::NotPresent) => false,
    }
}

/// Whether this program runs on Fly.io.
pub(crate) fn is_on_fly(vars: &impl Vars) -> bool {
    is_set(vars, "FLY_APP_NAME")
}

/// Variables that replace those of the environment, by name.
#[cfg(feature = "lab")]
pub(crate) type EnvOverrides = HashMap<String, String>;

/// The environment with `overrides` laid over it.
#[cfg(feature = "lab")]
pub(crate) fn overlay(overrides: EnvOverrides, env: impl Vars) -> impl Vars {
    move |name: &str| overrides.get(name).cloned().map_or_else(|| env(name), Ok)
}
