//! Choosing a database allocates no memory.

use std::hint::black_box;

use allocation_counter::measure;
use archipelago::Settings;

archipelago::repos! { primary home; replica near; replica far }

#[tokio::test]
async fn choosing_a_database_allocates_nothing() {
    let settings = Settings::single_database::<Repos>("postgres://app@127.0.0.1:1/app")
        .unwrap()
        .in_region("near");
    let repos = Repos::connect(&settings).await.unwrap();
    let chosen = measure(|| {
        for region in ["home", "near", "far", "atlantis", ""] {
            black_box(repos.replica_in(black_box(region)).served_by());
        }
        black_box(repos.replica().served_by());
        black_box(repos.primary().served_by());
    });
    assert_eq!((chosen.count_total, chosen.bytes_total), (0, 0));

    let counted = measure(|| drop(black_box(Box::new(black_box(7)))));
    assert_eq!(counted.count_total, 1, "an allocation is counted");
}
