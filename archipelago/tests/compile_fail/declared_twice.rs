archipelago::repos! { primary home; replica near; replica near; replica home }

fn main() {}
