//! The public API of the libraries: what other programs depend on. A change of it is seen in
//! `api.txt`.
//!
//! After a wanted change: `UPDATE_EXPECT=1 cargo test --test public_api`, and read the difference.

// The listing has every feature, and the workspace is built with all of them.
#![cfg(all(feature = "actix", feature = "axum", feature = "metrics"))]

#[path = "rustc/built.rs"]
mod built;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::LazyLock;
use std::{env, fs};

use cargo_metadata::{Artifact, CargoOpt, DependencyKind, Metadata, MetadataCommand};
use expect_test::expect_file;
use public_api::Builder;

#[test]
fn api_of_archipelago() {
    check("archipelago/api.txt", &api("archipelago", &["actix", "axum", "metrics", "visitor"]));
}

#[test]
fn api_of_archipelago_lab() {
    check("lab/api.txt", &api("archipelago-lab", &["cli", "fetch", "macros"]));
}

/// Shows only the lines that differ: the whole listing is long.
#[track_caller]
fn check(listing: &str, api: &str) {
    let listing = format!("{}/{listing}", built::ROOT);
    if env::var_os("UPDATE_EXPECT").is_none() {
        let listed = fs::read_to_string(&listing).unwrap();
        let [listed, found] = [&listed, api].map(|api| api.lines().collect::<BTreeSet<_>>());
        let gone = listed.difference(&found).map(|line| format!("- {line}\n"));
        let added = found.difference(&listed).map(|line| format!("+ {line}\n"));
        let changes: String = gone.chain(added).collect();
        assert!(changes.is_empty(), "the public API has changed:\n{changes}");
    }
    expect_file![listing].assert_eq(api);
}

/// The public items of a library with these features, a line for each. Without blanket `impl`s and
/// those of auto traits, which `public_types.rs` checks.
///
/// The `: ` of `Query: PlainSelect` is missing there, as `public_api` does not write it.
fn api(package: &str, features: &[&str]) -> String {
    static BUILT: LazyLock<Vec<Artifact>> = LazyLock::new(built::libraries);
    static METADATA: LazyLock<Metadata> = LazyLock::new(|| {
        let host = Command::new("rustc").args(["--print", "host-tuple"]).output().unwrap().stdout;
        let host = String::from_utf8(host).unwrap().trim().to_owned();
        let mut metadata = MetadataCommand::new();
        // Crates of other platforms were not downloaded for the build.
        let options = ["--offline".to_owned(), "--filter-platform".to_owned(), host];
        metadata.features(CargoOpt::AllFeatures).other_options(options);
        metadata.exec().unwrap()
    });

    let package = METADATA.packages.iter().find(|found| found.name == package).unwrap();
    let library = package.targets.iter().find(|target| target.is_lib()).unwrap();
    let name = library.name.replace('-', "_");
    let resolve = METADATA.resolve.as_ref().unwrap();
    let node = resolve.nodes.iter().find(|node| node.id == package.id).unwrap();
    let dependencies = node.deps.iter().filter(|dependency| {
        dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
    });
    // Cargo builds some libraries twice, once for build scripts. Either does: rustdoc compiles no
    // bodies.
    let arguments = dependencies.flat_map(|dependency| {
        let mut built = BUILT.iter().filter(|library| library.package_id == dependency.pkg);
        built.find_map(|library| built::arguments(library, &dependency.name)).unwrap_or_default()
    });

    let folder = env!("CARGO_TARGET_TMPDIR");
    let mut rustdoc = Command::new("rustdoc");
    rustdoc.args(["--edition=2024", "--cap-lints=allow", "--crate-name", &name]);
    rustdoc.args(features.iter().map(|feature| format!("--cfg=feature={feature:?}")));
    rustdoc.args(arguments).arg(&library.src_path).args(["--out-dir", folder]);
    // The format is not stable yet. The toolchain is pinned, and no other program reads the file.
    rustdoc.args(["-Zunstable-options", "--output-format=json"]).env("RUSTC_BOOTSTRAP", "1");
    rustdoc.env("CARGO_PKG_VERSION", package.version.to_string());
    let output = rustdoc.current_dir(built::ROOT).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let api = Builder::from_rustdoc_json(format!("{folder}/{name}.json"))
        .omit_auto_trait_impls(true)
        .omit_blanket_impls(true)
        .build()
        .unwrap();
    api.to_string()
}
