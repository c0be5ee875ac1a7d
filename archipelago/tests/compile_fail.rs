//! Programs that must not compile, each with the message that its author gets. The names are the
//! specification.
//!
//! After a wanted change: `UPDATE_EXPECT=1 cargo test --test compile_fail`, and read the difference.

mod rustc;

use std::collections::BTreeSet;
use std::path::Path;

use expect_test::expect_file;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compile_fail");

macro_rules! programs {
    ($($name:ident)*) => {
        const PROGRAMS: &[&str] = &[$(stringify!($name)),*];

        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*
    };
}

programs! {
    a_replica_where_the_primary_is_wanted
    declared_as_a_keyword
    declared_in_capitals
    declared_twice
    declared_with_a_typo
    declared_with_one_rust_name
    declared_without_a_primary
    delete_on_a_replica
    diesels_own_connection_from_a_replica
    execute_on_a_replica
    execute_on_a_replica_with_diesels_trait_in_scope
    for_share_skip_locked_on_a_replica
    for_update_on_a_replica
    insert_from_select_on_a_replica
    insert_in_a_snapshot
    insert_on_a_replica
    insert_returning_on_a_replica
    raw_sql_on_a_replica
    transaction_on_a_replica
    update_on_a_replica
    upsert_on_a_replica
    writes_of_a_replicas_repo
}

#[test]
fn every_program_is_in_the_list() {
    let files = Path::new(FOLDER).read_dir().unwrap();
    let programs: BTreeSet<_> = files
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let listed = PROGRAMS.iter().map(ToString::to_string).collect();
    assert_eq!(programs, listed, "the files on the left, the list on the right");
}

#[track_caller]
fn check(program: &str) {
    let messages = rustc::compile(&format!("archipelago/tests/compile_fail/{program}.rs"));
    let messages = messages.expect_err("the program compiles");
    expect_file![format!("{FOLDER}/{program}.stderr")].assert_eq(&messages);
}
