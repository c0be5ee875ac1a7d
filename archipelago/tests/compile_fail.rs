//! Programs that must not compile, each beside the message that its author gets. The files' names are the specification.
//!
//! After a wanted change: `TRYBUILD=overwrite cargo test -p archipelago --test compile_fail`, and read the difference.

#[test]
fn programs_that_must_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
