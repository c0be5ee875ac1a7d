//! Hands regions.toml to archipelago-regions, which checks it and writes `OUT_DIR/repos.rs`, included by app/repos.rs.

fn main() {
    archipelago_regions::build("regions.toml");
    // diesel_migrations embeds the folder and cannot watch it.
    println!("cargo::rerun-if-changed=migrations");
}
