//! The names of a world's regions: region codes, which become names of folders and of servers.
//!
//! `lab/macros/src/check.rs` applies the same rule to literals.

use std::collections::HashSet;

use archipelago_regions::is_region_code;

use crate::LabError;

/// Checks that every name is valid, and that no region is named twice.
pub(crate) fn check(primary: &str, replicas: &[String]) -> Result<(), LabError> {
    let mut seen = HashSet::new();
    for name in std::iter::once(primary).chain(replicas.iter().map(String::as_str)) {
        if !is_region_code(name) {
            return Err(LabError::InvalidRegionName { name: name.to_owned() });
        }
        if !seen.insert(name) {
            return Err(LabError::DuplicateRegion { name: name.to_owned() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    fn checked(primary: &str, replicas: &[&str]) -> Result<(), String> {
        let replicas: Vec<String> = replicas.iter().map(ToString::to_string).collect();
        check(primary, &replicas).map_err(|error| error.to_string())
    }

    #[test]
    fn valid_names() {
        assert_eq!(checked("nrt", &["ord", "eu-west_1", "a-1", "self", &"x".repeat(63)]), Ok(()));
    }

    #[test]
    fn names_that_no_regions_file_may_hold_are_refused() {
        let longer = "x".repeat(64);
        for name in
            ["", "../up", "Nrt", "1st", "a b", "a/b", "-x", "x-", "a--b", "a-_b", "zürich", &longer]
        {
            assert!(checked(name, &[]).is_err(), "{name:?} passed");
            assert!(checked("nrt", &[name]).is_err(), "{name:?} passed as a replica");
        }
    }

    #[test]
    fn a_region_twice() {
        assert!(checked("nrt", &["ord", "ord"]).unwrap_err().contains("`ord` is listed twice"));
        assert!(checked("nrt", &["nrt"]).unwrap_err().contains("`nrt` is listed twice"));
    }
}
