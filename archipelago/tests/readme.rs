//! The README's program compiles as a reader copies it.

mod rustc;

const README: &str = include_str!("../../README.md");

/// What `src/repos.rs` includes: the build script makes it from regions.toml.
const REPOS: &str = "mod repos { archipelago::repos! { primary nrt; replica ord } }";

#[test]
fn the_program_compiles() {
    let (_, program) = README.split_once("```rust\n// src/main.rs\n").unwrap();
    let (program, _) = program.split_once("```").unwrap();
    let file = format!("{}/readme.rs", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&file, program.replace("mod repos;", REPOS)).unwrap();
    if let Err(messages) = rustc::compile(&file) {
        panic!("{messages}");
    }
}
