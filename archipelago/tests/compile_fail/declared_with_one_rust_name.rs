archipelago::repos! { primary home; replica "us-east"; replica us_east }

fn main() {}
