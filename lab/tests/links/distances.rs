//! Distances by the model of the world, by hand, and by a file.

use std::time::Duration;

use archipelago_lab::{Distances, LabError};
use archipelago_regions::{Place, built_in_places};

const SEVEN: Duration = Duration::from_millis(7);

fn file(source: &str) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), source).unwrap();
    file
}

#[test]
fn by_default_all_places_are_at_no_distance() {
    assert_eq!(Distances::default().round_trip("nrt", "ord"), Duration::ZERO);
}

#[test]
fn places_are_as_far_apart_as_in_the_model() {
    let depot = Place { code: "depot".into(), city: None, latitude: 52.1, longitude: 5.2 };
    let nrt = built_in_places().iter().find(|place| place.code == "nrt").unwrap();
    let expected = archipelago_regions::round_trip(nrt, &depot);

    let world = Distances::of_the_world();
    assert_eq!(world.round_trip("depot", "nrt"), Duration::ZERO);
    let with_depot = Distances::among(built_in_places().iter().cloned().chain([depot]));
    assert_eq!(with_depot.round_trip("depot", "nrt"), expected);
    assert_eq!(with_depot.round_trip("ord", "nrt"), world.round_trip("nrt", "ord"));
    assert_eq!(world.round_trip("nrt", "nrt"), Duration::ZERO);
}

#[test]
fn the_last_given_distance_counts_in_both_directions() {
    let file = file("nrt = { ord = \"7ms\" }\n");
    let by_hand = Distances::of_the_world()
        .with_round_trip("ord", "nrt", SEVEN * 2)
        .with_round_trip("syd", "syd", SEVEN);
    assert_eq!(by_hand.round_trip("nrt", "ord"), SEVEN * 2);
    assert_eq!(by_hand.round_trip("syd", "syd"), Duration::ZERO);

    let by_file = by_hand.with_file(file.path()).unwrap();
    assert_eq!(
        (by_file.round_trip("ord", "nrt"), by_file.round_trip("nrt", "ord")),
        (SEVEN, SEVEN)
    );
    assert_eq!(
        by_file.round_trip("nrt", "syd"),
        Distances::of_the_world().round_trip("nrt", "syd")
    );
}

#[test]
fn a_file_may_name_any_place_if_none_is_known() {
    let file = file("home = { far = \"7ms\" }\n");
    let distances = Distances::default().with_file(file.path()).unwrap();
    assert_eq!(distances.round_trip("far", "home"), SEVEN);

    let refused = Distances::of_the_world().with_file(file.path()).unwrap_err().to_string();
    assert!(
        refused.contains(":1: \"home\" is no place that is known here; add [places.home]"),
        "{refused}"
    );
}

#[test]
fn a_wrong_file_is_refused_with_all_its_mistakes() {
    let file = file("nrt = { ord = 128 }\nord = { syd = \"soon\" }\n");
    let refused = Distances::of_the_world().with_file(file.path()).unwrap_err();
    let LabError::Distances { mistakes } = &refused else { panic!("{refused}") };
    assert_eq!(mistakes.iter().map(|mistake| mistake.line).collect::<Vec<_>>(), [1, 2]);
    let said = refused.to_string();
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains(".toml:1: `ord` is an integer, not a string; write"), "{said}");
}

#[test]
fn a_missing_file_is_named() {
    let refused =
        Distances::default().with_file("/nowhere/distances.toml").unwrap_err().to_string();
    assert!(refused.starts_with("cannot read /nowhere/distances.toml: "), "{refused}");
}
