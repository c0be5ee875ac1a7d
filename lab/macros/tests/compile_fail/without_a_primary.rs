use archipelago_lab_macros as archipelago_lab;

#[archipelago_lab::test(replicas = ["near"])]
async fn test(world: World) {}

fn main() {}
