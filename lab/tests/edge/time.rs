//! What distance costs.

use std::time::{Duration, Instant};

use archipelago_lab::Distances;

use crate::app::ASK;
use crate::planet::Planet;

const FAR: Duration = Duration::from_millis(300);

#[tokio::test]
async fn reads_at_home_cost_nothing_and_writes_from_afar_one_crossing() {
    let planet = Planet::start_with(Distances::default().with_round_trip("syd", "nrt", FAR), |edge| edge).await;
    let syd = [("cookie", "edge_from=syd"), (ASK, "region=nrt")];
    planet.get("/?from=syd", &[]).await;

    // The fastest of a few: a busy machine is late now and then, and the first write may come before the edge has connected.
    let mut fastest = [Duration::MAX; 2];
    for _ in 0..5 {
        let (read, text) = timed(planet.get("/", &syd[..1])).await;
        assert_eq!(text, "syd");
        let (write, text) = timed(planet.send("POST", "/", &syd, "written")).await;
        assert_eq!(text, "nrt");
        fastest = [fastest[0].min(read), fastest[1].min(write)];
    }
    let [read, write] = fastest;
    assert!(read < FAR / 2, "{read:?}");
    assert!((FAR..FAR * 2).contains(&write), "one crossing is {FAR:?}, this took {write:?}");
}

async fn timed(visit: impl Future<Output = crate::planet::Answer>) -> (Duration, String) {
    let began = Instant::now();
    let answer = visit.await;
    (began.elapsed(), answer.text().to_owned())
}
