//! Compiles a single file by rustc, with the libraries that Cargo has built for the tests: no
//! dependency is built again.

mod built;
mod messages;

use std::env;
use std::process::Command;
use std::sync::LazyLock;

use self::built::ROOT;

/// The libraries that the programs use.
const LIBRARIES: [&str; 4] = ["archipelago", "diesel", "diesel_async", "tokio"];

/// Compiles the program in this file of the workspace; if that fails, returns rustc's errors.
pub fn compile(file: &str) -> Result<(), String> {
    static ARGUMENTS: LazyLock<Vec<String>> = LazyLock::new(libraries);

    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition=2024", "--emit=metadata", "--out-dir", env!("CARGO_TARGET_TMPDIR")]);
    // Verbose: with whole names of types.
    rustc.args(["--verbose", "--cap-lints=allow", "--color=never", "--diagnostic-width=140"]);
    // It shows lines of the libraries by their paths from the workspace.
    let output = rustc.args(&*ARGUMENTS).arg(file).current_dir(ROOT).output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    Err(messages::normalize(&String::from_utf8(output.stderr).unwrap()))
}

/// The arguments with which rustc finds [`LIBRARIES`].
fn libraries() -> Vec<String> {
    let built = built::libraries();
    let arguments = built.iter().filter_map(|library| {
        let name = library.target.name.replace('-', "_");
        LIBRARIES.contains(&name.as_str()).then(|| built::arguments(library, &name)).flatten()
    });
    arguments.flatten().collect()
}
