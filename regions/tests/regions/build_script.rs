//! Build scripts under a real cargo: which builds fail, what is left, and when the script reruns.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

const GOOD: &str = "primary = \"nrt\"\nreplicas = [\"ord\"]\n";
const WRONG: &str = "primary = \"nrt\"\nreplicas = [\"nrt\", \"hkg\"]\n[pool]\nsize = 0\n";

#[test]
fn a_mistake_fails_the_build_and_a_change_reruns_the_script() {
    let package = Package::new("visitor");

    package.write("regions.toml", WRONG);
    let (passed, output) = package.build();
    assert!(!passed, "{output}");
    for mistake in [
        "regions.toml:2: \"nrt\" is the primary (line 1) and cannot be a replica too; remove it from `replicas`",
        "regions.toml:2: \"hkg\" is not a known place; add [places.hkg]",
        "regions.toml:4: `size` is 0, which is out of range; write a `size` from 1 to 1000",
    ] {
        assert!(output.contains(mistake), "{mistake}\nis not in\n{output}");
    }
    assert!(!output.contains("panicked"), "{output}");
    assert_eq!(package.repos(), None);
    assert!(!package.build().0, "a failed build must fail again");

    package.write("regions.toml", GOOD);
    assert_passes(&package);
    assert!(package.repos().is_some_and(|repos| repos.contains("replica ord")));

    let runs = package.runs();
    assert_passes(&package);
    assert_eq!(package.runs(), runs, "the script must not rerun if nothing changed");

    package.write("regions.toml", &GOOD.replace("ord", "syd"));
    assert_passes(&package);
    assert_eq!(package.runs(), runs + 1);
    assert!(package.repos().is_some_and(|repos| repos.contains("replica syd")));

    package.write("regions.toml", WRONG);
    assert!(!package.build().0);
    assert_eq!(package.repos(), None, "the repos of the earlier build must be gone");

    package.write("regions.toml", GOOD);
    package.write("fly.toml", "primary_region = \"nrt\"\n");
    assert_passes(&package);
    package.write("fly.toml", "primary_region = \"ord\"\n");
    let (passed, output) = package.build();
    assert!(!passed && output.contains("\"ord\" in fly.toml:1"), "{output}");
}

#[track_caller]
fn assert_passes(package: &Package) {
    let (passed, output) = package.build();
    assert!(passed, "{output}");
}

/// A package whose build.rs is the documented one, with its own folder and target folder.
struct Package {
    folder: PathBuf,
}

impl Package {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        // The target folder stays, so that the dependencies are compiled only once.
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
        // The workspace's versions, which are already downloaded.
        let _ =
            fs::copy(Path::new(regions).join("../Cargo.lock"), package.folder.join("Cargo.lock"));
        package
    }

    /// Whether the build passed, and cargo's output.
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

    /// The number of times that the build script has run.
    fn runs(&self) -> u64 {
        fs::metadata(self.folder.join("runs")).unwrap().len()
    }

    /// The generated file, unless it does not exist.
    fn repos(&self) -> Option<String> {
        fs::read_to_string(fs::read_to_string(self.folder.join("repos-at")).unwrap()).ok()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).unwrap();
    }
}
