//! Compiles a single file by rustc, with the libraries that Cargo has built for the tests: no
//! dependency is built again.

mod messages;

use std::env;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use cargo_metadata::Message;

/// The workspace: rustc shows lines of the libraries by their paths from here.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The libraries that the programs use.
const LIBRARIES: [&str; 4] = ["archipelago", "diesel", "diesel_async", "tokio"];

/// Compiles the program in this file of the workspace; if that fails, returns rustc's errors.
pub fn compile(file: &str) -> Result<(), String> {
    static ARGUMENTS: LazyLock<Vec<String>> = LazyLock::new(libraries);

    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition=2024", "--emit=metadata", "--out-dir", env!("CARGO_TARGET_TMPDIR")]);
    // Verbose: with whole names of types.
    rustc.args(["--verbose", "--cap-lints=allow", "--color=never", "--diagnostic-width=140"]);
    let output = rustc.args(&*ARGUMENTS).arg(file).current_dir(ROOT).output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    Err(messages::normalize(&String::from_utf8(output.stderr).unwrap()))
}

/// The arguments with which rustc finds [`LIBRARIES`].
///
/// Cargo names them when it is asked to build a test, for which it has nothing to do.
fn libraries() -> Vec<String> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--no-run", "--test=compile_fail", "--message-format=json"]);
    cargo.args(["--offline", "--quiet"]).stderr(Stdio::inherit()).current_dir(ROOT);
    // The features of dependencies differ between this package and the workspace, where the app
    // needs `actix`.
    if !cfg!(feature = "actix") {
        cargo.args(["--package", env!("CARGO_PKG_NAME")]);
    }
    // What Cargo sets for a test would make build scripts run again that depend on it.
    for (name, _) in env::vars() {
        if ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|prefix| name.starts_with(prefix)) {
            cargo.env_remove(name);
        }
    }
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "Cargo cannot build this test");
    let mut arguments = Vec::new();
    for message in Message::parse_stream(&output.stdout[..]) {
        let Message::CompilerArtifact(artifact) = message.unwrap() else { continue };
        let name = artifact.target.name.replace('-', "_");
        if let Some(file) = artifact.filenames.iter().find(|file| file.extension() == Some("rlib"))
            && LIBRARIES.contains(&name.as_str())
        {
            arguments.push(format!("--extern={name}={file}"));
            arguments.push(format!("-Ldependency={}", file.parent().unwrap()));
        }
    }
    arguments
}
