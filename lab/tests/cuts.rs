//! Links that are cut, slowed and healed.

mod target;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use archipelago_lab::Link;
use target::{FAR, ask, connect, door, echo, expect, lines};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn a_cut_line_is_silent_and_nothing_is_lost() {
    let lines = lines();
    let echo = echo().await;
    let (mut far, mut near) =
        (connect(door(&lines, "far", echo)).await, connect(door(&lines, "near", echo)).await);
    ask(&mut far, b"before").await;

    far.write_all(b"on the way, ").await.unwrap();
    lines.cut("home", "far").unwrap();
    assert!(lines.is_cut("far", "home"));
    far.write_all(b"after").await.unwrap();
    let mut late = connect(door(&lines, "far", echo)).await;
    late.write_all(b"a new one").await.unwrap();
    // As long as another line takes for this, the cut one would have taken, too.
    lines.slow("near", "home", FAR).unwrap();
    for _ in 0..5 {
        ask(&mut near, b"tick").await;
    }
    for silent in [&far, &late] {
        assert_eq!(silent.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    let since = Instant::now();
    lines.heal("far", "home");
    expect(&mut far, b"on the way, after").await;
    assert!(since.elapsed() >= FAR, "what was lost sets out again: {:?}", since.elapsed());
    expect(&mut late, b"a new one").await;
    ask(&mut far, b"again").await;
}

#[tokio::test]
async fn a_line_is_slow_until_it_is_healed() {
    let lines = lines();
    let mut near = connect(door(&lines, "near", echo().await)).await;
    ask(&mut near, b"x").await;

    lines.slow("near", "home", FAR * 3).unwrap();
    assert_eq!(lines.round_trip("home", "near"), FAR * 3);
    let since = Instant::now();
    ask(&mut near, b"x").await;
    assert!(since.elapsed() >= FAR * 3, "{:?}", since.elapsed());

    // What is on the way when it is healed need not wait any longer.
    lines.slow("near", "home", Duration::MAX).unwrap();
    near.write_all(b"x").await.unwrap();
    lines.heal("near", "home");
    expect(&mut near, b"x").await;
    assert_eq!(lines.round_trip("home", "near"), Duration::ZERO);
}

#[tokio::test]
async fn a_line_has_one_state_whatever_its_direction() {
    let lines = lines();
    lines.cut("near", "far").unwrap();
    lines.slow("near", "home", FAR).unwrap();

    let shown = |line: &Link| {
        let Link { a, b, round_trip, cut, slowed, .. } = line;
        format!(
            "{a}-{b} {round_trip:?}{}{}",
            if *cut { " cut" } else { "" },
            if *slowed { " slowed" } else { "" }
        )
    };
    let among: Vec<_> = lines.among(&["home", "near", "far"]).iter().map(shown).collect();
    assert_eq!(among, ["home-near 100ms slowed", "home-far 100ms", "near-far 0ns cut"]);
}

#[tokio::test]
async fn a_place_cannot_be_cut_from_itself() {
    let lines = lines();
    let echo = echo().await;
    lines.cut("far", "far").unwrap();
    lines.slow("far", "far", FAR).unwrap();

    assert!(!lines.is_cut("far", "far"));
    assert_eq!(lines.round_trip("far", "far"), Duration::ZERO);
    assert_eq!(lines.proxy("far", "far", echo).unwrap(), echo);
}
