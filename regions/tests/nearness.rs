//! Distances against published ones, and orders of replicas written out by hand.

use archipelago_regions::{Place, built_in_places, distance_km, order};

fn place(code: &str) -> &'static Place {
    built_in_places().iter().find(|place| place.code == code).unwrap_or_else(|| panic!("no place {code}"))
}

/// Published flight distances first (OAG's ten longest flights of 2023; `AeroXplorer`'s ten longest of 2024; Sydney from
/// London and from Los Angeles as the Great Circle Mapper has them); then geodesics on the WGS 84 ellipsoid by
/// Vincenty's formula, which gives the published ones to 0.2 %.
#[test]
fn distances_are_within_one_percent_of_published_ones() {
    let published = [
        ("ewr", "sin", 15_329.0),
        ("dfw", "syd", 13_803.0),
        ("lhr", "syd", 17_016.0),
        ("lax", "syd", 12_051.0),
        ("nrt", "ord", 10_097.0),
        ("jnb", "lhr", 9_045.0),
        ("gru", "jnb", 7_452.0),
        ("sin", "syd", 6_288.0),
        ("ewr", "lhr", 5_577.0),
        ("ams", "cdg", 399.0),
    ];
    for (from, to, kilometres) in published {
        let ours = distance_km(place(from), place(to));
        let off = (ours - kilometres).abs();
        assert!(off < kilometres / 100.0, "{from} to {to}: {ours:.0} km, published {kilometres} km");
    }
}

/// With the primary in `nrt`, which is in no order. Each line can be checked with an atlas: the comment has the
/// distances in the order of the replicas, in thousands of kilometres.
#[test]
fn the_order_of_the_replicas_seen_from_twelve_places() {
    let replicas = ["ord", "ams", "syd", "gru", "jnb", "lhr", "sin"];
    let orders = [
        ("nrt", "sin syd ams lhr ord jnb gru"), //  5.4  7.8  9.3  9.6 10.1 13.6 18.5
        ("ord", "ord lhr ams gru jnb syd sin"), //  0    6.3  6.6  8.4 14.0 14.9 15.1
        ("ams", "ams lhr ord jnb gru sin syd"), //  0    0.4  6.6  9.0  9.8 10.5 16.7
        ("syd", "syd sin jnb gru ord ams lhr"), //  0    6.3 11.0 13.4 14.9 16.7 17.0
        ("gru", "gru jnb ord lhr ams syd sin"), //  0    7.4  8.4  9.5  9.8 13.4 16.0
        ("jnb", "jnb gru sin ams lhr syd ord"), //  0    7.4  8.7  9.0  9.1 11.0 14.0
        ("lhr", "lhr ams ord jnb gru sin syd"), //  0    0.4  6.3  9.1  9.5 10.9 17.0
        ("sin", "sin syd jnb ams lhr ord gru"), //  0    6.3  8.7 10.5 10.9 15.1 16.0
        ("bom", "sin ams jnb lhr syd ord gru"), //  3.9  6.9  7.0  7.2 10.2 12.9 13.8
        ("iad", "ord lhr ams gru jnb sin syd"), //  0.9  5.9  6.2  7.6 13.1 15.5 15.7
        ("lax", "ord lhr ams gru syd sin jnb"), //  2.8  8.8  9.0  9.9 12.1 14.1 16.7
        ("fra", "ams lhr ord jnb gru sin syd"), //  0.4  0.7  7.0  8.7  9.8 10.3 16.5
    ];
    for (from, expected) in orders {
        let order: Vec<&str> = order(place(from), replicas.map(place)).iter().map(|replica| &*replica.code).collect();
        let distances: Vec<String> =
            order.iter().map(|to| format!("{to} {:.0} km", distance_km(place(from), place(to)))).collect();
        assert_eq!(order.join(" "), expected, "from {from}: {}", distances.join(", "));
    }
}

#[test]
fn equal_distances_go_by_code_and_a_place_is_nearest_to_itself() {
    let twin = |code: &'static str| Place { code: code.into(), city: None, latitude: 52.0, longitude: 5.0 };
    let (a, b, c) = (twin("a"), twin("b"), twin("c"));
    assert_eq!(order(&b, [&c, &b, &a]), [&b, &a, &c]);
    assert_eq!(order(place("ams"), [&c, &b, &a]), [&a, &b, &c]);
}

#[test]
fn antipodes_and_poles_have_a_distance() {
    let at = |latitude, longitude| Place { code: "x".into(), city: None, latitude, longitude };
    let half_round = 20_015.0;
    for (here, there) in [(at(90.0, 0.0), at(-90.0, 77.0)), (at(33.3, 12.3), at(-33.3, -167.7)), (at(0.0, -180.0), at(0.0, 0.0))]
    {
        assert!((distance_km(&here, &there) - half_round).abs() < 1.0);
    }
    assert!(distance_km(&at(0.0, 180.0), &at(0.0, -180.0)) < 0.001);
}
