//! Generates the regions of benches/regions.toml, which src/scale/regions/servers.rs includes.

fn main() {
    archipelago_regions::build("regions.toml");
}
