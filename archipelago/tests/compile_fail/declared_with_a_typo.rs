archipelago::repos! { primary home; replicas near }

fn main() {}
