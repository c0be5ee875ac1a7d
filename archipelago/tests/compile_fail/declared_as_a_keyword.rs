archipelago::repos! { primary home; replica self }

fn main() {}
