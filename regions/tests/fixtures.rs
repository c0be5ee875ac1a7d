//! regions.toml files beside all that the crate says about them: `mistakes/*.txt` and `good/*.txt`; and files of distances.
//!
//! `BLESS=1 cargo test -p archipelago-regions --test fixtures` writes what it says now; read the diff before committing.

mod fixtures {
    pub mod folder;
}

use archipelago_regions::{check, check_distances, render};
use fixtures::folder::{Case, compare_all};
use std::fmt::Display;

#[test]
fn every_mistake_is_said_with_its_line_and_what_to_write_instead() {
    let cases = compare_all("mistakes", |case: &Case| {
        match check("regions.toml", &case.source, case.fly_toml.as_deref()) {
            Ok(_) => format!("{} has no mistake\n", case.name),
            Err(mistakes) => lines(&mistakes),
        }
    });
    assert!(cases >= 20, "only {cases} files with mistakes are left");
}

#[test]
fn a_good_file_becomes_one_macro_call() {
    let cases = compare_all("good", |case: &Case| {
        match check("regions.toml", &case.source, case.fly_toml.as_deref()) {
            Ok(regions) => render(&regions),
            Err(mistakes) => lines(&mistakes),
        }
    });
    assert!(cases > 0);
}

#[test]
fn a_file_of_distances_is_as_strict() {
    let known = ["ams", "fra", "nrt", "ord", "syd"];
    let cases = compare_all("distances", |case: &Case| {
        match check_distances("distances.toml", &case.source, &known) {
            Ok(distances) => lines(
                &distances
                    .iter()
                    .map(|it| format!("{}-{} {:?}", it.a, it.b, it.round_trip))
                    .collect::<Vec<_>>(),
            ),
            Err(mistakes) => lines(&mistakes),
        }
    });
    assert!(cases > 4, "only {cases} files of distances are left");
}

fn lines(all: &[impl Display]) -> String {
    all.iter().flat_map(|one| [one.to_string(), "\n".to_owned()]).collect()
}
