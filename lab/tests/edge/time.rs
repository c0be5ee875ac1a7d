//! What distance costs.

use std::time::{Duration, Instant};

use archipelago_lab::Distances;

use crate::app::ASK;
use crate::planet::Planet;

const FAR: Duration = Duration::from_millis(300);

#[tokio::test]
async fn reads_at_home_cost_nothing_and_the_first_write_from_afar_one_crossing() {
    let planet = Planet::start_with(Distances::default().with_round_trip("syd", "nrt", FAR), |edge| edge).await;
    let syd = [("cookie", "edge_from=syd"), (ASK, "region=nrt")];
    planet.get("/?from=syd", &[]).await;
    // As long as it takes a person to fill in a form: here, for the handshake to cross.
    tokio::time::timeout(FAR * 2, std::future::pending::<()>()).await.unwrap_err();

    let (read, text) = timed(planet.get("/", &syd[..1])).await;
    assert_eq!(text, "syd");
    assert!(read < FAR / 2, "{read:?}");
    let (write, text) = timed(planet.send("POST", "/", &syd, "written")).await;
    assert_eq!(text, "nrt");
    assert!((FAR..FAR * 2).contains(&write), "one crossing is {FAR:?}, this took {write:?}");
}

async fn timed(visit: impl Future<Output = crate::planet::Answer>) -> (Duration, String) {
    let began = Instant::now();
    let answer = visit.await;
    (began.elapsed(), answer.text().to_owned())
}
