//! The code in the macro's snapshots compiles, passes clippy and behaves as its documentation says.

#[rustfmt::skip]
#[path = "../../macros/tests/expanded/from_a_file.rs"]
mod from_a_file;
#[rustfmt::skip]
#[path = "../../macros/tests/expanded/mock_regions.rs"]
mod mock_regions;
#[rustfmt::skip]
#[path = "../../macros/tests/expanded/primary_alone.rs"]
mod primary_alone;
#[rustfmt::skip]
#[path = "../../macros/tests/expanded/rusts_own_names.rs"]
mod rusts_own_names;
#[rustfmt::skip]
#[path = "../../macros/tests/expanded/several_servers.rs"]
mod several_servers;

use archipelago::{Reason, RegionSet, Settings, Writes};
use from_a_file::{Region, Repos};

const SOMEWHERE: &str = "postgres://app@127.0.0.1:1/app";

async fn repos_in(region: &str) -> Repos {
    let settings = Settings::single_database::<Repos>(SOMEWHERE).unwrap().in_region(region);
    Repos::connect(&settings).await.unwrap()
}

#[tokio::test]
async fn a_region_string_selects_the_repo() {
    let repos = repos_in("").await;
    let served_by = |region| repos.replica_in(region).served_by().to_string();
    assert_eq!(served_by("ord"), "ord; role=replica; reason=local");
    assert_eq!(served_by("us-east-1"), "us-east-1; role=replica; reason=local");
    assert_eq!(served_by("nrt"), "nrt; role=primary; reason=local", "the primary's own region");
    assert_eq!(served_by("cdg"), "ams; role=replica; reason=nearest", "a place without a replica");
    assert_eq!(served_by("atlantis"), "nrt; role=primary; reason=primary", "an unknown region");
    assert_eq!(served_by("ORD"), "nrt; role=primary; reason=primary", "codes are lower-case");
    assert_eq!(served_by(""), "nrt; role=primary; reason=primary", "no region");
}

#[tokio::test]
async fn an_instance_reads_from_its_own_region() {
    assert_eq!(
        repos_in("sjc").await.replica().served_by().to_string(),
        "ord; role=replica; reason=nearest"
    );
    assert_eq!(repos_in("").await.replica().served_by().reason, Reason::Primary);
    assert_eq!(
        repos_in("ams").await.primary().served_by().to_string(),
        "nrt; role=primary; reason=primary"
    );
}

#[test]
fn regions_are_parsed_and_displayed() {
    for region in Region::ALL {
        assert_eq!(region.to_string().parse::<Region>().unwrap(), *region);
    }
    assert_eq!(format!("{:>5}|", Region::Ord), "  ord|");
    let error = "atlantis".parse::<Region>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`atlantis` is no region of this program; its regions are nrt, ord, ams, us-east-1"
    );
    assert!("".parse::<Region>().is_err());
}

#[test]
fn the_order_of_nearness_is_a_constant() {
    assert_eq!(Region::nearest_to("cdg"), [Region::Ams, Region::UsEast1, Region::Ord]);
    assert!(Region::nearest_to("atlantis").is_empty());
    assert!(mock_regions::Region::nearest_to("near").is_empty(), "mock regions have no place");
}

#[test]
fn what_the_file_says_is_in_the_constants() {
    let named: Vec<_> =
        Repos::REGIONS.iter().map(|info| (info.code, info.repo, info.line, info.url_env)).collect();
    assert_eq!(named[0], ("nrt", "RepoNrt", Some(1), None));
    assert_eq!(named[3], ("us-east-1", "RepoUsEast1", Some(3), Some("VIRGINIA_URL")));
    assert_eq!(<Repos as RegionSet>::POOL_SIZE, 8);
    assert_eq!(<Repos as RegionSet>::MAX_LAG.as_secs(), 5);
    assert_eq!(<Repos as RegionSet>::MAX_SPILL, 20);
    assert_eq!(<Repos as RegionSet>::WRITES, Writes::Direct);
    assert_eq!(<mock_regions::Repos as RegionSet>::POOL_SIZE, 10, "the default");
}

#[tokio::test]
async fn regions_named_like_rusts_own_words_make_types() {
    use rusts_own_names::{Region, RepoBox, RepoType, Repos};

    let settings = Settings::single_database::<Repos>(SOMEWHERE).unwrap();
    let repos = Repos::connect(&settings).await.unwrap();
    let _: &RepoBox = repos.repo_box();
    let _: &RepoType = repos.repo_type();
    assert_eq!(repos.replica_in("none").served_by().region, Region::None.as_str());
}

#[tokio::test]
async fn a_primary_alone_serves_every_read() {
    use primary_alone::Repos;

    let settings = Settings::single_database::<Repos>(SOMEWHERE).unwrap().in_region("away");
    let repos = Repos::connect(&settings).await.unwrap();
    assert_eq!(repos.replica().served_by().to_string(), "home; role=primary; reason=primary");
}
