//! Generates the typed repos: archipelago-regions checks regions.toml and writes
//! `OUT_DIR/repos.rs`, which app/repos.rs includes.

fn main() {
    archipelago_regions::build("regions.toml");
    // diesel_migrations embeds the folder, but does not make Cargo watch it.
    println!("cargo::rerun-if-changed=migrations");
}
