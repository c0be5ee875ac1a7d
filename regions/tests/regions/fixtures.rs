//! Fixtures: files beside the crate's whole output for each, in `tests/mistakes`, `tests/good` and
//! `tests/distances`.
//!
//! `UPDATE_EXPECT=1 cargo test -p archipelago-regions fixtures` rewrites the expected outputs. Read
//! the difference before you commit it.

use archipelago_regions::{check, check_distances, render};
use expect_test::expect_file;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_mistake_has_its_line_a_problem_and_a_fix() {
    let cases = compare_all("mistakes", |case| {
        match check("regions.toml", &case.text, case.fly_toml.as_deref()) {
            Ok(_) => format!("{} has no mistake\n", case.name),
            Err(mistakes) => lines(&mistakes),
        }
    });
    assert!(cases >= 20, "only {cases} files with mistakes are left");
}

#[test]
fn a_valid_file_becomes_one_macro_call() {
    let cases = compare_all("good", |case| {
        match check("regions.toml", &case.text, case.fly_toml.as_deref()) {
            Ok(regions) => render(&regions),
            Err(mistakes) => lines(&mistakes),
        }
    });
    assert!(cases > 0);
}

#[test]
fn a_distances_file_is_checked_as_strictly() {
    let known = ["ams", "fra", "nrt", "ord", "syd"];
    let cases = compare_all("distances", |case| {
        match check_distances("distances.toml", &case.text, &known) {
            Ok(distances) => lines(
                &distances
                    .iter()
                    .map(|it| format!("{}-{} {:?}", it.a, it.b, it.round_trip))
                    .collect::<Vec<_>>(),
            ),
            Err(mistakes) => lines(&mistakes),
        }
    });
    assert!(cases > 4, "only {cases} distances files are left");
}

fn lines(items: &[impl Display]) -> String {
    items.iter().flat_map(|item| [item.to_string(), "\n".to_owned()]).collect()
}

/// NAME.toml, and NAME.fly.toml if it exists.
struct Case {
    name: String,
    text: String,
    fly_toml: Option<String>,
}

/// Compares the output for each NAME.toml of a folder with NAME.txt. Returns the number of cases.
fn compare_all(folder: &str, output: impl Fn(&Case) -> String) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let read = |file: PathBuf| fs::read_to_string(file).ok();
    let names = names(&folder, ".toml");
    for name in &names {
        let case = Case {
            name: name.clone(),
            text: read(folder.join(format!("{name}.toml"))).unwrap(),
            fly_toml: read(folder.join(format!("{name}.fly.toml"))),
        };
        expect_file![folder.join(format!("{name}.txt"))].assert_eq(&output(&case));
    }
    assert_eq!(
        self::names(&folder, ".txt"),
        names,
        "each .toml has a .txt and no .txt is left over"
    );
    assert!(self::names(&folder, ".fly.toml").is_subset(&names), "a .fly.toml has no .toml");
    names.len()
}

fn names(folder: &Path, suffix: &str) -> BTreeSet<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter_map(|file| file.strip_suffix(suffix).map(str::to_owned))
        .filter(|name| !name.contains('.'))
        .collect()
}
