use archipelago_lab_macros as archipelago_lab;

#[archipelago_lab::test(primary = "home", replicas = ["Near", "home"])]
#[tokio::test]
fn test(world: World, other: World) {}

fn main() {}
