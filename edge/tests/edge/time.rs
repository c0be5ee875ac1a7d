//! What distance costs.

use std::time::{Duration, Instant};

use archipelago_lab::Distances;

use crate::app::ASK;
use crate::planet::Planet;

const FAR: Duration = Duration::from_millis(300);

/// Long enough for any machine.
const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn reads_at_home_cost_nothing_and_writes_from_afar_one_crossing() {
    let planet =
        Planet::start_with(Distances::default().with_round_trip("syd", "nrt", FAR), |edge| edge)
            .await;
    let syd = [("cookie", "edge_from=syd"), (ASK, "region=nrt")];
    planet.get("/?from=syd", &[]).await;

    // A busy machine is late now and then, and the first write may come before the edge has connected; what takes a crossing more
    // takes it each time.
    let begun = Instant::now();
    loop {
        let (read, text) = timed(planet.get("/", &syd[..1])).await;
        assert_eq!(text, "syd");
        let (write, text) = timed(planet.send("POST", "/", &syd, "written")).await;
        assert_eq!(text, "nrt");
        assert!(write >= FAR, "one crossing is {FAR:?}, this took {write:?}");
        if read < FAR && write < FAR * 2 {
            return;
        }
        assert!(
            begun.elapsed() < DEADLINE,
            "one crossing is {FAR:?}, a read took {read:?} and a write {write:?}"
        );
    }
}

async fn timed(visit: impl Future<Output = crate::planet::Answer>) -> (Duration, String) {
    let began = Instant::now();
    let answer = visit.await;
    (began.elapsed(), answer.text().to_owned())
}
