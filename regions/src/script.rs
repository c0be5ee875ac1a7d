//! The door for a build script: read, check, render, write; tell cargo what to watch and what is wrong.

use crate::{Mistake, Regions, check, render};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Turns `regions_toml` (relative to the package) into `repos.rs` in `OUT_DIR`.
///
/// Every mistake becomes one `cargo::error=` line, which fails the build once the script has ended. No `repos.rs` is
/// left then, not even that of an earlier build: a wrong file never makes half a program.
///
/// Cargo is told to run the script again when the file changes, or the `fly.toml` beside it. A `fly.toml` that comes
/// later is seen at the next run of the script.
pub fn build(regions_toml: impl AsRef<Path>) {
    let file = regions_toml.as_ref();
    println!("cargo::rerun-if-changed={}", file.display());
    let fly_toml = fly_toml_beside(file);
    // Cargo would run the script at every build for the sake of a watched file that is not there.
    if fly_toml.exists() {
        println!("cargo::rerun-if-changed={}", fly_toml.display());
    }
    let Some(folder) = env::var_os("OUT_DIR") else {
        println!(
            "cargo::error=OUT_DIR is not set; call archipelago_regions::build from a build script"
        );
        return;
    };
    let repos = Path::new(&folder).join("repos.rs");
    if let Err(error) = write(file, &repos) {
        println!(
            "cargo::error={} cannot be written ({error}); see to the folder and build again",
            repos.display()
        );
    }
}

/// Reads and checks `regions_toml` and the `fly.toml` beside it, if there is one.
///
/// For a program that wants the regions as they stand in the file now, at run time: it needs no build script, prints nothing
/// and reads no environment. A relative path is taken from the current folder. What was compiled in by [`build`] may be older.
///
/// ```no_run
/// use archipelago_regions::{load, round_trip};
///
/// let regions = load("regions.toml").map_err(|mistakes| mistakes[0].clone())?;
/// for replica in &regions.replicas {
///     println!("{} is {:?} from the primary", replica.place.code, round_trip(&regions.primary.place, &replica.place));
/// }
/// # Ok::<(), archipelago_regions::Mistake>(())
/// ```
///
/// [`Regions::places`] has every other place too, those of `[places]` with the coordinates they have there.
///
/// # Errors
/// Every mistake in them, or the one that a file cannot be read.
pub fn load(regions_toml: impl AsRef<Path>) -> Result<Regions, Vec<Mistake>> {
    let file = regions_toml.as_ref();
    let source = read(file).map_err(|mistake| vec![mistake])?;
    let fly_toml = fly_toml_beside(file);
    let fly_source = if fly_toml.exists() { Some(read(&fly_toml)).transpose() } else { Ok(None) };
    match fly_source {
        Ok(fly_source) => check(&file.display().to_string(), &source, fly_source.as_deref()),
        Err(unread) => {
            let mut mistakes =
                check(&file.display().to_string(), &source, None).err().unwrap_or_default();
            mistakes.push(unread);
            Err(mistakes)
        }
    }
}

fn write(file: &Path, repos: &Path) -> io::Result<()> {
    match load(file) {
        Ok(regions) => fs::write(repos, render(&regions)),
        Err(mistakes) => {
            for mistake in mistakes {
                println!("cargo::error={mistake}");
            }
            match fs::remove_file(repos) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        }
    }
}

fn read(file: &Path) -> Result<String, Mistake> {
    let at = |line, wrong: String, instead: &str| Mistake {
        file: file.display().to_string(),
        line,
        wrong,
        instead: instead.to_owned(),
    };
    let bytes = fs::read(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => at(
            1,
            "there is no such file".to_owned(),
            "make it, with one line at least, such as `primary = \"nrt\"`",
        ),
        _ => at(
            1,
            format!("the file cannot be read ({error})"),
            "put a file there that this user may read",
        ),
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = sound.split(|byte| *byte == b'\n').count();
        at(
            line,
            "the file is not UTF-8 from here on".to_owned(),
            "save it as UTF-8, the encoding of every TOML file",
        )
    })
}

fn fly_toml_beside(regions_toml: &Path) -> PathBuf {
    regions_toml.with_file_name("fly.toml")
}
