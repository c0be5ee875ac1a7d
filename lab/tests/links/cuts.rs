//! Links that are cut, slowed and healed.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use super::target::{FAR, ask, connect, echo, expect, links, proxy};
use archipelago_lab::Link;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn a_cut_link_is_silent_and_nothing_is_lost() {
    let links = links();
    let echo = echo().await;
    let (mut far, mut near) =
        (connect(proxy(&links, "far", echo)).await, connect(proxy(&links, "near", echo)).await);
    ask(&mut far, b"before").await;

    far.write_all(b"on the way, ").await.unwrap();
    links.cut("home", "far").unwrap();
    assert!(links.is_cut("far", "home"));
    far.write_all(b"after").await.unwrap();
    let mut late = connect(proxy(&links, "far", echo)).await;
    late.write_all(b"a new one").await.unwrap();
    // The cut link would have delivered as soon as this one does.
    links.slow("near", "home", FAR).unwrap();
    for _ in 0..5 {
        ask(&mut near, b"tick").await;
    }
    for silent in [&far, &late] {
        assert_eq!(silent.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    let since = Instant::now();
    links.heal("far", "home");
    expect(&mut far, b"on the way, after").await;
    assert!(since.elapsed() >= FAR, "delayed bytes leave again: {:?}", since.elapsed());
    expect(&mut late, b"a new one").await;
    ask(&mut far, b"again").await;
}

#[tokio::test]
async fn a_link_is_slow_until_it_is_healed() {
    let links = links();
    let mut near = connect(proxy(&links, "near", echo().await)).await;
    ask(&mut near, b"x").await;

    links.slow("near", "home", FAR * 3).unwrap();
    assert_eq!(links.round_trip("home", "near"), FAR * 3);
    let since = Instant::now();
    ask(&mut near, b"x").await;
    assert!(since.elapsed() >= FAR * 3, "{:?}", since.elapsed());

    // Bytes on the way do not wait any longer once it is healed.
    links.slow("near", "home", Duration::MAX).unwrap();
    near.write_all(b"x").await.unwrap();
    links.heal("near", "home");
    expect(&mut near, b"x").await;
    assert_eq!(links.round_trip("home", "near"), Duration::ZERO);
}

#[tokio::test]
async fn a_link_has_one_state_whatever_its_direction() {
    let links = links();
    links.cut("near", "far").unwrap();
    links.slow("near", "home", FAR).unwrap();

    let shown = |link: &Link| {
        let Link { a, b, round_trip, cut, slowed, .. } = link;
        format!(
            "{a}-{b} {round_trip:?}{}{}",
            if *cut { " cut" } else { "" },
            if *slowed { " slowed" } else { "" }
        )
    };
    let among: Vec<_> = links.among(&["home", "near", "far"]).iter().map(shown).collect();
    assert_eq!(among, ["home-near 100ms slowed", "home-far 100ms", "near-far 0ns cut"]);
}

#[tokio::test]
async fn a_place_cannot_be_cut_from_itself() {
    let links = links();
    let echo = echo().await;
    links.cut("far", "far").unwrap();
    links.slow("far", "far", FAR).unwrap();

    assert!(!links.is_cut("far", "far"));
    assert_eq!(links.round_trip("far", "far"), Duration::ZERO);
    assert_eq!(links.proxy("far", "far", echo).unwrap(), echo);
}
