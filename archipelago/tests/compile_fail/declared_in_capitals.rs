archipelago::repos! { primary NRT }

fn main() {}
