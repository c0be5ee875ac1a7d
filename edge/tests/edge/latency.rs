//! How long requests take over a distance.

use std::time::{Duration, Instant};

use archipelago_lab::Distances;

use crate::test_app::REPLAY_ONCE;
use crate::testbed::{TestResponse, Testbed};

const FAR: Duration = Duration::from_millis(300);

/// How long the test may wait for a request in time.
const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_replayed_write_crosses_the_link_once() {
    let testbed =
        Testbed::start_with(Distances::default().with_round_trip("syd", "nrt", FAR), |edge| edge)
            .await;
    let syd = [("cookie", "edge_from=syd"), (REPLAY_ONCE, "region=nrt")];
    testbed.get("/?from=syd", &[]).await;

    // A busy machine can be late, and the first write can come before the edge has connected. A
    // second crossing would make every request late.
    let began = Instant::now();
    loop {
        let (read, text) = timed(testbed.get("/", &syd[..1])).await;
        assert_eq!(text, "syd");
        let (write, text) = timed(testbed.send("POST", "/", &syd, "written")).await;
        assert_eq!(text, "nrt");
        assert!(write >= FAR, "one crossing is {FAR:?}, this took {write:?}");
        if read < FAR && write < FAR * 2 {
            return;
        }
        assert!(
            began.elapsed() < DEADLINE,
            "one crossing is {FAR:?}, a read took {read:?} and a write {write:?}"
        );
    }
}

async fn timed(request: impl Future<Output = TestResponse>) -> (Duration, String) {
    let began = Instant::now();
    let response = request.await;
    (began.elapsed(), response.text().to_owned())
}
