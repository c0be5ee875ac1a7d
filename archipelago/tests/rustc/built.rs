//! The libraries that Cargo has built for a test.

use std::env;
use std::process::{Command, Stdio};

use cargo_metadata::camino::Utf8PathBuf;
use cargo_metadata::{Artifact, Message};

/// The workspace.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Cargo names them when it is asked to build this test, for which it has nothing to do.
pub fn libraries() -> Vec<Artifact> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--no-run", "--test", env!("CARGO_CRATE_NAME"), "--message-format=json"]);
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
    let messages = Message::parse_stream(&output.stdout[..]).map(Result::unwrap);
    messages
        .filter_map(|message| match message {
            Message::CompilerArtifact(artifact) => Some(artifact),
            _ => None,
        })
        .collect()
}

/// The arguments with which rustc finds this library by `name`. None where it is not a library.
pub fn arguments(library: &Artifact, name: &str) -> Option<[String; 2]> {
    let is_library =
        |file: &&Utf8PathBuf| matches!(file.extension(), Some("rlib" | "so" | "dylib" | "dll"));
    let file = library.filenames.iter().find(is_library)?;
    Some([format!("--extern={name}={file}"), format!("-Ldependency={}", file.parent()?)])
}
