//! Settings from the environment: what it may contain, and one error for each wrong variable.

use std::collections::HashMap;
use std::env::VarError;

use archipelago::{SettingError, Settings};
use expect_test::expect;

archipelago::repos! {
    primary nrt;
    replica ord;
    replica "us-east-1";
    replica depot { url_env: "DEPOT_DATABASE_URL" };
    nearest fra: ord, depot, "us-east-1";
}

fn settings(vars: &[(&str, &str)]) -> Result<Settings, Vec<SettingError>> {
    let vars: HashMap<_, _> = vars.iter().copied().collect();
    Settings::from_vars::<Repos>(|name| {
        vars.get(name).map(ToString::to_string).ok_or(VarError::NotPresent)
    })
}

fn urls(settings: &Settings) -> Vec<String> {
    Repos::REGIONS.iter().map(|info| settings.url(info.code).unwrap().expose().to_owned()).collect()
}

#[track_caller]
fn refused(vars: &[(&str, &str)], expected: &expect_test::Expect) {
    let errors: Vec<_> = settings(vars).unwrap_err().iter().map(ToString::to_string).collect();
    expected.assert_eq(&errors.join("\n"));
}

#[test]
fn the_primarys_url_makes_the_replicas_urls() {
    let settings = settings(&[
        ("DATABASE_URL", "postgres://u:p@db.internal/app"),
        ("DEPOT_DATABASE_URL", "postgres://u:p@depot.example/app"),
    ])
    .unwrap();
    assert_eq!(
        urls(&settings),
        [
            "postgres://u:p@db.internal/app",
            "postgres://u:p@ord.db.internal:5433/app",
            "postgres://u:p@us-east-1.db.internal:5433/app",
            "postgres://u:p@depot.example/app",
        ]
    );
    assert_eq!(settings.region(), "");
    assert_eq!(settings.pool_size(), 10);
}

#[test]
fn a_regions_own_variable_wins() {
    let settings = settings(&[
        ("DATABASE_URL", "postgres://db.internal/app"),
        ("DATABASE_URL_NRT", "postgres://mainland.example:6000/app"),
        ("DATABASE_URL_US_EAST_1", "postgres://virginia.example/app"),
        ("DEPOT_DATABASE_URL", "postgres://loses.example/app"),
        ("DATABASE_URL_DEPOT", "postgres://depot.example/app"),
    ])
    .unwrap();
    assert_eq!(
        urls(&settings),
        [
            "postgres://mainland.example:6000/app",
            "postgres://ord.db.internal:5433/app",
            "postgres://virginia.example/app",
            "postgres://depot.example/app",
        ]
    );
}

#[test]
fn a_single_database_plays_every_region() {
    let url = "postgres://postgres@localhost/app";
    let settings = settings(&[
        ("DATABASE_URL", url),
        ("FLY_REGION", "ord"),
        ("POOL_SIZE", "3"),
        ("PRIMARY_REGION", "nrt"),
    ])
    .unwrap();
    assert_eq!(urls(&settings), [url; 4]);
    assert_eq!(settings.region(), "ord");
    assert_eq!(settings.pool_size(), 3);
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let settings = settings(&[
        ("DATABASE_URL", "postgres://localhost/app"),
        ("FLY_REGION", ""),
        ("POOL_SIZE", ""),
        ("PRIMARY_REGION", ""),
    ]);
    assert_eq!(settings.unwrap().pool_size(), 10);
}

#[test]
fn without_any_variable_the_urls_are_missing() {
    refused(
        &[],
        &expect![[r#"
        DATABASE_URL is not set; set it to the URL of the primary; the replicas' URLs are made from it
        DEPOT_DATABASE_URL is not set; set it to the URL of the replica in region `depot`"#]],
    );
}

#[test]
fn every_wrong_variable_is_reported_at_once() {
    refused(
        &[
            ("DATABASE_URL", "db.internal"),
            ("DATABASE_URL_ORD", "mysql://u:hunter2@ord.example/app"),
            ("DEPOT_DATABASE_URL", "postgres://depot.example/app?sslmode=maybe"),
            ("POOL_SIZE", "many"),
            ("PRIMARY_REGION", "ams"),
        ],
        &expect![[r#"
            PRIMARY_REGION is `ams`; this program was built with the primary in `nrt`: make `primary` in regions.toml and `primary_region` in fly.toml the same, and build again
            POOL_SIZE is `many`; write a number of connections from 1 to 1000
            DATABASE_URL is not a URL (relative URL without a base); write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters percent-encoded
            DATABASE_URL_ORD starts with `mysql://`; write postgres://… or postgresql://…
            DEPOT_DATABASE_URL has sslmode=maybe; write disable, prefer, require, verify-ca or verify-full"#]],
    );
}

#[test]
fn pool_size_has_bounds() {
    refused(
        &[("DATABASE_URL", "postgres://localhost/app"), ("POOL_SIZE", "0")],
        &expect!["POOL_SIZE is `0`; write a number of connections from 1 to 1000"],
    );
    refused(
        &[("DATABASE_URL", "postgres://localhost/app"), ("POOL_SIZE", "1001")],
        &expect!["POOL_SIZE is `1001`; write a number of connections from 1 to 1000"],
    );
}

#[test]
fn a_region_with_a_url_env_needs_that_variable() {
    refused(
        &[("DATABASE_URL", "postgres://db.internal/app")],
        &expect![
            "DEPOT_DATABASE_URL is not set; regions.toml says that it holds the URL of region `depot`"
        ],
    );
}

/// Such a host is the primary's in every region.
#[test]
fn a_fixed_host_does_not_replace_that_variable() {
    let expected = expect![
        "DEPOT_DATABASE_URL is not set; regions.toml says that it holds the URL of region `depot`"
    ];
    refused(&[("DATABASE_URL", "postgres://db.flycast/app")], &expected);
    refused(&[("DATABASE_URL", "postgres://nrt.db.internal/app")], &expected);
}

#[test]
fn several_hosts_need_a_url_for_each_region() {
    refused(
        &[
            ("DATABASE_URL", "postgres://a.internal,b.internal/app"),
            ("DEPOT_DATABASE_URL", "postgres://depot.example/app"),
        ],
        &expect![
            "DATABASE_URL names several hosts, so no region's host can be made from it; give each replica a URL of its own: DATABASE_URL_<REGION>"
        ],
    );
}

#[test]
fn an_unknown_region_takes_no_url() {
    let settings = Settings::single_database::<Repos>("postgres://localhost/app").unwrap();
    let error = settings.with_url("odr", "postgres://localhost/other").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the settings have no region `odr`; make them for the same repos that they are used with"
    );
}

#[test]
fn a_variable_that_is_not_utf_8_is_refused() {
    let errors = Settings::from_vars::<Repos>(|name| match name {
        "FLY_REGION" => Err(VarError::NotUnicode("\u{fffd}".into())),
        "DATABASE_URL" => Ok("postgres://localhost/app".to_owned()),
        _ => Err(VarError::NotPresent),
    })
    .unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "FLY_REGION cannot be used; it is not valid UTF-8: write it as text"
    );
}
