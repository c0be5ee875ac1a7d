//! A real cargo on a tiny package whose build.rs is the one of the docs: what fails, what is left, what runs again.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

const GOOD: &str = "primary = \"nrt\"\nreplicas = [\"ord\"]\n";
const WRONG: &str = "primary = \"nrt\"\nreplicas = [\"nrt\", \"hkg\"]\n[pool]\nsize = 0\n";

#[test]
fn a_wrong_file_stops_the_build_and_a_changed_one_repeats_it() {
    let package = Package::new("visitor");

    package.write("regions.toml", WRONG);
    let (passed, said) = package.build();
    assert!(!passed, "{said}");
    for mistake in [
        "regions.toml:2: \"nrt\" is the primary (line 1) and cannot be a replica too; take it out of `replicas`",
        "regions.toml:2: \"hkg\" is no place that Archipelago knows; add [places.hkg]",
        "regions.toml:4: a pool cannot have 0 connections; write a `size` from 1 to 1000",
    ] {
        assert!(said.contains(mistake), "{mistake}\nis not in\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(package.repos(), None);
    assert!(!package.build().0, "a failed build is not done the second time");

    package.write("regions.toml", GOOD);
    assert_passes(&package);
    assert!(package.repos().is_some_and(|repos| repos.contains("replica ord")));

    let runs = package.runs();
    assert_passes(&package);
    assert_eq!(package.runs(), runs, "nothing changed");

    package.write("regions.toml", &GOOD.replace("ord", "syd"));
    assert_passes(&package);
    assert_eq!(package.runs(), runs + 1);
    assert!(package.repos().is_some_and(|repos| repos.contains("replica syd")));

    package.write("regions.toml", WRONG);
    assert!(!package.build().0);
    assert_eq!(package.repos(), None, "the repos of the build before are gone");

    package.write("regions.toml", GOOD);
    package.write("fly.toml", "primary_region = \"nrt\"\n");
    assert_passes(&package);
    package.write("fly.toml", "primary_region = \"ord\"\n");
    let (passed, said) = package.build();
    assert!(!passed && said.contains("\"ord\" in fly.toml:1"), "{said}");
}

#[track_caller]
fn assert_passes(package: &Package) {
    let (passed, said) = package.build();
    assert!(passed, "{said}");
}

/// A package in a folder of its own, with a target folder of its own.
struct Package {
    folder: PathBuf,
}

impl Package {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        // The target folder stays, so that toml is compiled once and not at every run of the test.
        for stale in ["regions.toml", "fly.toml", "runs", "repos-at"] {
            let _ = fs::remove_file(folder.join(stale));
        }
        fs::create_dir_all(folder.join("src")).unwrap();
        let package = Self { folder };
        let regions = env!("CARGO_MANIFEST_DIR");
        package.write(
            "Cargo.toml",
            &format!(
                "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n\
                 [build-dependencies]\narchipelago-regions = {{ path = {regions:?} }}\n"
            ),
        );
        package.write("src/lib.rs", "");
        package.write(
            "build.rs",
            "use std::io::Write;\n\
             fn main() {\n\
                 let mut runs = std::fs::File::options().create(true).append(true).open(\"runs\").unwrap();\n\
                 runs.write_all(b\".\").unwrap();\n\
                 std::fs::write(\"repos-at\", std::env::var(\"OUT_DIR\").unwrap() + \"/repos.rs\").unwrap();\n\
                 archipelago_regions::build(\"regions.toml\");\n\
             }\n",
        );
        // The versions that the workspace has, which are on this machine.
        let _ =
            fs::copy(Path::new(regions).join("../Cargo.lock"), package.folder.join("Cargo.lock"));
        package
    }

    /// Whether the build passed, and all that cargo said.
    fn build(&self) -> (bool, String) {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO"))
            .args(["build", "--offline", "--color=never"])
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", self.folder.join("target"))
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .output()
            .unwrap();
        (status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
    }

    /// How often the build script has run.
    fn runs(&self) -> u64 {
        fs::metadata(self.folder.join("runs")).unwrap().len()
    }

    /// The generated file.
    fn repos(&self) -> Option<String> {
        fs::read_to_string(fs::read_to_string(self.folder.join("repos-at")).unwrap()).ok()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).unwrap();
    }
}
