//! regions.toml files beside all that the crate says about them: `mistakes/*.txt` and `good/*.txt`.
//!
//! `BLESS=1 cargo test -p archipelago-regions --test fixtures` writes what it says now; read the diff before committing.

mod fixtures {
    pub mod folder;
}

use archipelago_regions::{Mistake, check, render};
use fixtures::folder::{Case, compare_all};

#[test]
fn every_mistake_is_said_with_its_line_and_what_to_write_instead() {
    let cases = compare_all("mistakes", |case: &Case| match check("regions.toml", &case.source, case.fly_toml.as_deref()) {
        Ok(_) => format!("{} has no mistake\n", case.name),
        Err(mistakes) => lines(&mistakes),
    });
    assert!(cases >= 20, "only {cases} files with mistakes are left");
}

#[test]
fn a_good_file_becomes_one_macro_call() {
    let cases = compare_all("good", |case: &Case| match check("regions.toml", &case.source, case.fly_toml.as_deref()) {
        Ok(regions) => render(&regions),
        Err(mistakes) => lines(&mistakes),
    });
    assert!(cases > 0);
}

fn lines(mistakes: &[Mistake]) -> String {
    mistakes.iter().flat_map(|mistake| [mistake.to_string(), "\n".to_owned()]).collect()
}
