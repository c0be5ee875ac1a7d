archipelago::repos! { replica near }

fn main() {}
