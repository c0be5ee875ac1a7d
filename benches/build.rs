//! Hands benches/regions.toml to archipelago-regions, as the app does with its own; included by src/scale/regions/servers.rs.

fn main() {
    archipelago_regions::build("regions.toml");
}
