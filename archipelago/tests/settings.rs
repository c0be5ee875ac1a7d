//! Settings from the environment: what it may contain, and one error for each wrong variable.

use std::collections::HashMap;
use std::env::VarError;
use std::time::Duration;

use archipelago::{DatabaseUrl, RepoSet, Settings, SettingsError, SslMode};
use expect_test::expect;

archipelago::repos! {
    primary nrt;
    replica ord;
    replica "us-east-1";
    replica depot { url_env: "DEPOT_DATABASE_URL" };
    nearest fra: ord, depot, "us-east-1";
}

fn settings(vars: &[(&str, &str)]) -> Result<Settings, SettingsError> {
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
    let problems = settings(vars).unwrap_err().into_iter();
    expected.assert_eq(&problems.map(|problem| problem.to_string()).collect::<Vec<_>>().join("\n"));
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
fn libpqs_variables_count_where_the_url_is_silent() {
    let url = |given: &str, vars: &[(&str, &str)]| {
        let depot = ("DEPOT_DATABASE_URL", "postgres://depot.example/app");
        let settings = settings(&[vars, &[("DATABASE_URL", given), depot]].concat())?;
        Ok::<_, SettingsError>(settings.url("nrt")?.expose().to_owned())
    };
    let user = [("PGUSER", "ada"), ("PGPASSWORD", "a b"), ("PGSSLMODE", "require")];
    for (given, vars, expected) in [
        ("postgres://db.x/app", &user[..], "postgres://ada:a%20b@db.x/app?sslmode=require"),
        (
            "postgres://bob:p@db.x/app?sslmode=disable",
            &user,
            "postgres://bob:p@db.x/app?sslmode=disable",
        ),
        (
            "postgres:///app",
            &[("PGHOST", "db.x"), ("PGPORT", "6000"), ("PGDATABASE", "other")],
            "postgres://db.x:6000/app",
        ),
        ("postgres://u@db.x/app?user=", &[("PGUSER", "")], "postgres://u@db.x/app?user="),
    ] {
        assert_eq!(url(given, vars).unwrap(), expected);
    }
    for (given, variable, expected) in [
        (
            "postgres://db.x/app",
            "PGREQUIREPEER",
            "DATABASE_URL has a `requirepeer` (or PGREQUIREPEER is set)",
        ),
        ("postgres://db.x/app", "PGSSLMODE", "DATABASE_URL has a wrong `sslmode`; write disable"),
        (
            "postgres://db.x/app?sslmode=verify-full",
            "PGSSLROOTCERT",
            "DATABASE_URL has sslrootcert=nowhere, which cannot be used",
        ),
    ] {
        let error = url(given, &[(variable, "nowhere")]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
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
            DATABASE_URL is not a URL (it begins with neither `postgres://` nor `postgresql://`); write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters percent-encoded
            DATABASE_URL_ORD starts with `mysql://`; write postgres://… or postgresql://…
            DEPOT_DATABASE_URL has a wrong `sslmode`; write disable, allow, prefer, require, verify-ca or verify-full"#]],
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
fn a_further_server_without_a_url_is_off() {
    mod several {
        archipelago::repos! { primary home; replica near; replica "near-2" { region: near } }
    }
    let codes = |vars: &[(&str, &str)]| -> Vec<&str> {
        let vars: HashMap<_, _> = vars.iter().copied().collect();
        let var = |name: &str| vars.get(name).map(ToString::to_string).ok_or(VarError::NotPresent);
        let settings = Settings::from_vars::<several::Repos>(var).unwrap();
        let repos = several::Repos::new(&settings).unwrap();
        repos.members().map(|member| member.info().code).collect()
    };
    let home = ("DATABASE_URL", "postgres://u:p@db.internal/app");
    let second = ("DATABASE_URL_NEAR_2", "postgres://u:p@other.example/app");
    assert_eq!(codes(&[home]), ["home", "near"]);
    assert_eq!(codes(&[home, second]), ["home", "near", "near-2"]);
    let single = Settings::single_database::<several::Repos>("postgres://localhost/app").unwrap();
    assert_eq!(several::Repos::new(&single).unwrap().members().count(), 3);
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
    let error = Settings::from_vars::<Repos>(|name| match name {
        "FLY_REGION" => Err(VarError::NotUnicode("\u{fffd}".into())),
        "DATABASE_URL" => Ok("postgres://localhost/app".to_owned()),
        _ => Err(VarError::NotPresent),
    })
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "FLY_REGION cannot be used; it is not valid UTF-8: write it as text"
    );
}

/// A program's `?` takes each of them, into this type as into `Box<dyn Error>`.
#[test]
fn every_way_to_settings_fails_with_one_type() {
    fn parse(url: &str) -> Result<DatabaseUrl, SettingsError> {
        Ok(url.parse()?)
    }
    fn by_hand(url: &str, region: &str) -> Result<Repos, SettingsError> {
        Repos::new(&Settings::single_database::<Repos>(url)?.with_url(region, url)?)
    }
    fn start(url: &str) -> Result<DatabaseUrl, Box<dyn std::error::Error + Send + Sync>> {
        Ok(parse(url)?)
    }
    let expected = "the URL starts with `mysql://`; write postgres://… or postgresql://…";
    assert_eq!(parse("mysql://u:hunter2@db/app").unwrap_err().to_string(), expected);
    assert_eq!(start("mysql://u:hunter2@db/app").unwrap_err().to_string(), expected);
    assert_eq!(by_hand("mysql://u:hunter2@db/app", "ord").unwrap_err().to_string(), expected);
    let error = by_hand("postgres://localhost/app", "odr").unwrap_err().to_string();
    assert!(error.starts_with("the settings have no region `odr`"), "{error}");
}

/// What a program prints whose `main` returns the error.
#[test]
fn the_error_of_a_main_lists_every_problem() {
    let wrong = settings(&[("POOL_SIZE", "0"), ("PRIMARY_REGION", "ams")]).unwrap_err();
    expect![[r#"
        the settings are wrong:
          PRIMARY_REGION is `ams`; this program was built with the primary in `nrt`: make `primary` in regions.toml and `primary_region` in fly.toml the same, and build again
          POOL_SIZE is `0`; write a number of connections from 1 to 1000
          DATABASE_URL is not set; set it to the URL of the primary; the replicas' URLs are made from it
          DEPOT_DATABASE_URL is not set; set it to the URL of the replica in region `depot`"#]]
    .assert_eq(&format!("{wrong:?}"));
    assert_eq!(format!("{wrong:?}"), wrong.to_string());
}

const LOCAL: (&str, &str) = ("DATABASE_URL", "postgres://localhost/app");

#[test]
fn a_region_is_a_place_that_the_program_knows() {
    for (given, expected) in
        [("ord", "ord"), (" ord\n", "ord"), ("fra", "fra"), ("nrt", "nrt"), ("  ", "")]
    {
        let read = settings(&[LOCAL, ("FLY_REGION", given), ("PRIMARY_REGION", " nrt ")]).unwrap();
        assert_eq!(read.region(), expected, "{given:?}");
    }
    refused(
        &[LOCAL, ("FLY_REGION", "us-eats-1")],
        &expect![
            "FLY_REGION is `us-eats-1`; write a place that this program was built for (depot, fra, nrt, ord, us-east-1), or add [places.us-eats-1] to regions.toml and build again"
        ],
    );
    refused(
        &[LOCAL, ("FLY_REGION", "postgres://u:hunter2@db/app"), ("POOL_SIZE", "postgres://u:p@h")],
        &expect![[r#"
            FLY_REGION cannot be used; write a place that this program was built for (depot, fra, nrt, ord, us-east-1)
            POOL_SIZE is `…`; write a number of connections from 1 to 1000"#]],
    );
    refused(
        &[LOCAL, ("DATABASE_READ_USER", "postgres://u:hunter2@db/app")],
        &expect![
            "DATABASE_READ_USER cannot be used; write the name of a role; its password belongs in DATABASE_READ_PASSWORD"
        ],
    );
    refused(
        &[LOCAL, ("PRIMARY_REGION", "host=db password=hunter2")],
        &expect![
            "PRIMARY_REGION is `…`; this program was built with the primary in `nrt`: make `primary` in regions.toml and `primary_region` in fly.toml the same, and build again"
        ],
    );
    refused(&[LOCAL, ("FLY_REGION", "ORD")], &expect!["FLY_REGION is `ORD`; write `ord`"]);
    refused(
        &[LOCAL, ("PRIMARY_REGION", "NRT")],
        &expect![
            "PRIMARY_REGION is `NRT`; this program was built with the primary in `nrt`: make `primary` in regions.toml and `primary_region` in fly.toml the same, and build again"
        ],
    );
}

/// The same checks as those of the environment, when the repos are made.
#[test]
fn what_is_set_by_hand_is_checked() {
    let settings = || Settings::single_database::<Repos>("postgres://localhost/app").unwrap();
    for good in [
        settings(),
        settings().in_region("fra").with_pool_size(1000),
        settings().with_pool_size(1).with_max_lag(Duration::from_millis(1)),
        settings().with_max_lag(Duration::from_hours(24)),
    ] {
        Repos::new(&good).unwrap();
    }
    let wrong = settings().in_region("odr").with_pool_size(0).with_max_lag(Duration::MAX);
    expect![[r#"
        the settings are wrong:
          this instance's region is `odr`; write a place that this program was built for (depot, fra, nrt, ord, us-east-1), or add [places.odr] to regions.toml and build again
          the pool size is `0`; write a number of connections from 1 to 1000
          max_lag is `18446744073709551615.999999999s`; write one from 1 ms to 24 h"#]]
    .assert_eq(&Repos::new(&wrong).unwrap_err().to_string());
    for wrong in [Duration::ZERO, Duration::from_micros(999), Duration::from_hours(25)] {
        Repos::new(&settings().with_max_lag(wrong)).unwrap_err();
    }
    Repos::new(&settings().with_pool_size(1001)).unwrap_err();
}

#[test]
fn pgrequiressl_requires_tls() {
    for (url, variable, expected) in [
        ("postgres://u:p@db.internal/app", "1", SslMode::Require),
        ("postgres://u:p@db.internal/app", "0", SslMode::Prefer),
        ("postgres://u:p@db.internal/app?sslmode=disable", "1", SslMode::Disable),
    ] {
        let depot = ("DEPOT_DATABASE_URL", url);
        let settings = settings(&[("DATABASE_URL", url), ("PGREQUIRESSL", variable), depot]);
        assert_eq!(settings.unwrap().url("ord").unwrap().sslmode(), expected, "{url} {variable}");
    }
}
