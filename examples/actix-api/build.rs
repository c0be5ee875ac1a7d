fn main() {
    archipelago_regions::build("regions.toml");
}
