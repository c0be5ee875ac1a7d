//! Build scripts: reads and checks regions.toml, writes `repos.rs`, and reports to cargo.

use crate::check::check;
use crate::mistake::Mistake;
use crate::regions::Regions;
use crate::render::render;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Generates `repos.rs` in `OUT_DIR` from `regions_toml`, a path relative to the package.
///
/// Each mistake becomes one `cargo::error=` line, and cargo fails the build when the script ends.
/// After a mistake no `repos.rs` is left, not even one of an earlier build.
///
/// Cargo reruns the script when regions.toml changes, or a fly.toml beside it. A fly.toml that is
/// created later is read the next time the script runs.
pub fn build(regions_toml: impl AsRef<Path>) {
    let file = regions_toml.as_ref();
    println!("cargo::rerun-if-changed={}", file.display());
    let fly_toml = fly_toml_beside(file);
    // Cargo reruns the script at every build if a watched file does not exist.
    if fly_toml.exists() {
        println!("cargo::rerun-if-changed={}", fly_toml.display());
    }
    let Some(out_dir) = env::var_os("OUT_DIR") else {
        println!(
            "cargo::error=OUT_DIR is not set; call archipelago_regions::build from a build script"
        );
        return;
    };
    let repos_rs = Path::new(&out_dir).join("repos.rs");
    if let Err(error) = generate(file, &repos_rs) {
        println!(
            "cargo::error={} cannot be written ({error}); check the folder and build again",
            repos_rs.display()
        );
    }
}

/// Reads and checks `regions_toml`, and the fly.toml beside it if there is one.
///
/// For a program that needs the regions at run time, as the file lists them now. It prints nothing
/// and reads no environment variable. A relative path starts at the current folder. The regions
/// that [`build`] compiled in may be older.
///
/// ```no_run
/// use archipelago_regions::{load, round_trip};
///
/// let regions = load("regions.toml").map_err(|mistakes| mistakes[0].clone())?;
/// for replica in &regions.replicas {
///     let time = round_trip(&regions.primary.place, &replica.place);
///     println!("{} is {time:?} from the primary", replica.place.code);
/// }
/// # Ok::<(), archipelago_regions::Mistake>(())
/// ```
///
/// # Errors
/// Every mistake in the two files, or a single one if regions.toml cannot be read.
pub fn load(regions_toml: impl AsRef<Path>) -> Result<Regions, Vec<Mistake>> {
    let file = regions_toml.as_ref();
    let name = file.display().to_string();
    let text = read(file).map_err(|mistake| vec![mistake])?;
    let fly_toml = fly_toml_beside(file);
    let fly_text = if fly_toml.exists() { Some(read(&fly_toml)).transpose() } else { Ok(None) };
    match fly_text {
        Ok(fly_text) => check(&name, &text, fly_text.as_deref()),
        Err(unreadable) => {
            let mut mistakes = check(&name, &text, None).err().unwrap_or_default();
            mistakes.push(unreadable);
            Err(mistakes)
        }
    }
}

fn generate(regions_toml: &Path, repos_rs: &Path) -> io::Result<()> {
    match load(regions_toml) {
        Ok(regions) => fs::write(repos_rs, render(&regions)),
        Err(mistakes) => {
            for mistake in mistakes {
                println!("cargo::error={mistake}");
            }
            match fs::remove_file(repos_rs) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        }
    }
}

fn read(file: &Path) -> Result<String, Mistake> {
    let mistake =
        |line, problem: &str, fix| Mistake::new(&file.display().to_string(), line, problem, fix);
    let bytes = fs::read(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => mistake(
            1,
            "the file does not exist",
            "create it with at least one line, such as `primary = \"nrt\"`",
        ),
        _ => mistake(
            1,
            &format!("the file cannot be read ({error})"),
            "make it a file that this user can read",
        ),
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.split(|byte| *byte == b'\n').count();
        mistake(
            line,
            "the file is not UTF-8 from here on",
            "save it as UTF-8, the encoding of every TOML file",
        )
    })
}

fn fly_toml_beside(regions_toml: &Path) -> PathBuf {
    regions_toml.with_file_name("fly.toml")
}
