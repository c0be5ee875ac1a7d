//! Nearness: great-circle distances against published ones, and the order of replicas.

use archipelago_regions::{Place, built_in_places, distance_km, nearest_first, round_trip};

fn place(code: &str) -> &'static Place {
    built_in_places()
        .iter()
        .find(|place| place.code == code)
        .unwrap_or_else(|| panic!("no place {code}"))
}

/// First flight distances: OAG's ten longest flights of 2023, `AeroXplorer`'s ten longest of 2024,
/// and Sydney from London and Los Angeles by the Great Circle Mapper. Then geodesics on the WGS 84
/// ellipsoid by Vincenty's formula, which is within 0.2 % of those flight distances.
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
        assert!(
            off < kilometres / 100.0,
            "{from} to {to}: {ours:.0} km, published {kilometres} km"
        );
    }
}

/// The primary is in `nrt`, so that `nrt` is no replica. Each comment has the round trips in
/// milliseconds, in the order of its line, to check with an atlas of cables.
#[test]
fn the_order_of_replicas_from_twelve_places() {
    let replicas = ["ord", "ams", "syd", "gru", "jnb", "lhr", "sin"];
    let orders = [
        ("nrt", "sin ord syd jnb lhr ams gru"), // 77 148 155 211 242 247 288
        ("ord", "ord lhr ams gru syd sin jnb"), //   0   94   99  140  211  225  243
        ("ams", "ams lhr ord gru jnb sin syd"), //   0    5   99  144  178  182  284
        ("syd", "syd sin ord jnb ams lhr gru"), //   0  102  211  236  284  288  342
        ("gru", "gru lhr ord ams jnb sin syd"), //   0  138  140  144  177  303  342
        ("jnb", "jnb sin gru ams lhr syd ord"), //   0  133  177  178  182  236  243
        ("lhr", "lhr ams ord gru jnb sin syd"), //   0    5   94  138  182  186  288
        ("sin", "sin syd jnb ams lhr ord gru"), //   0  102  133  182  186  225  303
        ("bom", "sin jnb ams lhr syd ord gru"), //  58  127  130  134  160  228  255
        ("iad", "ord lhr ams gru syd jnb sin"), //  13   84   89  128  225  232  238
        ("lax", "ord lhr ams gru syd sin jnb"), //  40  134  139  171  171  201  275
        ("fra", "ams lhr ord gru jnb sin syd"), //   5    9  103  145  173  177  279
    ];
    for (from, expected) in orders {
        let order: Vec<&str> = nearest_first(place(from), replicas.map(place))
            .iter()
            .map(|replica| &*replica.code)
            .collect();
        let times: Vec<String> = order
            .iter()
            .map(|to| format!("{to} {:.1?}", round_trip(place(from), place(to))))
            .collect();
        assert_eq!(order.join(" "), expected, "from {from}: {}", times.join(", "));
    }
}

#[test]
fn nearness_is_round_trip_time_not_distance() {
    for (from, near, closer_on_the_globe) in [("nrt", "ord", "ams"), ("jnb", "sin", "gru")] {
        let [from, near, closer_on_the_globe] = [from, near, closer_on_the_globe].map(place);
        assert_eq!(nearest_first(from, [closer_on_the_globe, near]), [near, closer_on_the_globe]);
        assert!(distance_km(from, closer_on_the_globe) < distance_km(from, near));
    }
}

#[test]
fn the_neighbours_of_amsterdam_are_in_order() {
    let around_amsterdam =
        nearest_first(place("ams"), ["ewr", "lhr", "arn", "cdg", "fra"].map(place));
    let codes: Vec<&str> = around_amsterdam.iter().map(|place| &*place.code).collect();
    assert_eq!(codes, ["fra", "lhr", "cdg", "arn", "ewr"]);
}

#[test]
fn equal_times_are_ordered_by_code_after_the_place_itself() {
    let twin = |code: &'static str| Place {
        code: code.into(),
        city: None,
        latitude: 52.0,
        longitude: 5.0,
    };
    let (a, b, c) = (twin("a"), twin("b"), twin("c"));
    assert_eq!(nearest_first(&b, [&c, &b, &a]), [&b, &a, &c]);
    assert_eq!(nearest_first(place("ams"), [&c, &b, &a]), [&a, &b, &c]);
}

#[test]
fn antipodes_and_poles_have_a_distance() {
    let at = |latitude, longitude| Place { code: "x".into(), city: None, latitude, longitude };
    let half_round = 20_015.0;
    for (here, there) in [
        (at(90.0, 0.0), at(-90.0, 77.0)),
        (at(33.3, 12.3), at(-33.3, -167.7)),
        (at(0.0, -180.0), at(0.0, 0.0)),
    ] {
        assert!((distance_km(&here, &there) - half_round).abs() < 1.0);
    }
    assert!(distance_km(&at(0.0, 180.0), &at(0.0, -180.0)) < 0.001);
}
