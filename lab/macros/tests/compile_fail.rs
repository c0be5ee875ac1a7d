//! Tests that must not compile, each beside the message that its author gets. All other messages
//! are in `lab/macros/src/tests.rs`.
//!
//! After an intended change: `TRYBUILD=overwrite cargo test -p archipelago-lab-macros --test
//! compile_fail`, and read the difference.

#[test]
fn tests_that_must_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
