//! Snapshots of the generated code, each below its call, and of the mistakes in a call.
//!
//! The snapshots are whole Rust files, which `archipelago/tests/generated.rs` compiles, so that
//! clippy checks the generated code too. To rewrite all:
//! `UPDATE_EXPECT=1 cargo test -p archipelago-macros`.

use expect_test::{ExpectFile, expect, expect_file};
use proc_macro2::TokenStream;

#[track_caller]
fn assert_expands(input: &str, expected: &ExpectFile) {
    let tokens = input.parse().expect("the input is made of tokens");
    let file = syn::parse2(crate::expand_or_explain(tokens)).expect("the output is Rust");
    let input: String = input
        .trim()
        .lines()
        .map(|line| format!("//! {line}").trim_end().to_owned() + "\n")
        .collect();
    let output = prettyplease::unparse(&file);
    expected.assert_eq(&format!("//! ```text\n{input}//! ```\n\n{output}"));
}

#[track_caller]
fn assert_refused(input: &str, expected: &expect_test::Expect) {
    let tokens = input.parse().expect("the input is made of tokens");
    let error =
        syn::parse2(tokens).and_then(crate::check::check).err().expect("the input is refused");
    let messages: Vec<String> = error
        .into_iter()
        .map(|error| {
            format!("{}:{} {error}", error.span().start().line, error.span().start().column)
        })
        .collect();
    expected.assert_eq(&messages.join("\n"));
}

#[test]
fn mock_regions() {
    assert_expands(
        "primary home; replica near; replica far",
        &expect_file!["../tests/expanded/mock_regions.rs"],
    );
}

#[test]
fn several_servers() {
    assert_expands(
        r#"primary home; replica near; replica "near-2" { region: near }; replica far; nearest fra: far, near, "near-2""#,
        &expect_file!["../tests/expanded/several_servers.rs"],
    );
}

#[test]
fn from_a_file() {
    assert_expands(
        r#"
source "regions.toml";
primary nrt { line: 1, place: "Tokyo, Japan" };
replica ord { line: 2, place: "Chicago, Illinois (US)" };
replica ams { line: 2, place: "Amsterdam, Netherlands" };
replica "us-east-1" { line: 3, url_env: "VIRGINIA_URL" };
nearest ams: ams, "us-east-1", ord;
nearest cdg: ams, "us-east-1", ord;
nearest nrt: ord, "us-east-1", ams;
nearest ord: ord, "us-east-1", ams;
nearest sjc: ord, "us-east-1", ams;
nearest "us-east-1": "us-east-1", ord, ams;
pool_size 8;
max_lag_ms 5000;
max_spill 20;
writes direct;
follow_promotions false;
"#,
        &expect_file!["../tests/expanded/from_a_file.rs"],
    );
}

#[test]
fn codes_that_are_rust_keywords_and_types() {
    assert_expands(
        "primary type; replica box; replica ok; replica none; replica string; replica s",
        &expect_file!["../tests/expanded/rusts_own_names.rs"],
    );
}

#[test]
fn a_primary_alone() {
    assert_expands(
        "primary home;\nnearest home:;\nnearest away:",
        &expect_file!["../tests/expanded/primary_alone.rs"],
    );
}

#[test]
fn every_mistake_at_once() {
    assert_refused(
        "primary home;\nprimary other;\nreplica near;\nreplica near;\nreplica home;\nreplica Far;\nreplica self;\n\
         replica \"a-b\"; replica a_b;\nnearest near: near, mars;\nnearest near: near;\nwrites sideways;\npool_size 5000000000",
        &expect![[r#"
            2:8 a second `primary`; there can be only one
            12:10 number too large to fit in target type
            11:7 write `writes replay` or `writes direct`
            4:8 region `near` is declared twice
            5:8 region `home` is declared twice
            6:8 `Far` cannot be a region's code; write lower-case letters and digits, as in `ord` or "us-east-1"
            7:8 a region called `self` would be the Rust keyword `Self`; give it another code
            8:23 regions `a-b` and `a_b` would both be `RepoAB`; rename one
            9:20 `mars` is not a replica of this call
            10:8 a second `nearest` for `near`; there can be only one"#]],
    );
}

#[test]
fn codes_that_give_no_rust_names() {
    for code in
        ["", " ord", "ord ", "ord/**/", "us east", "1st", "-a", "a--b", "a_-b", "../up", "Nrt"]
    {
        let call: TokenStream = format!("primary {code:?}").parse().unwrap();
        let error = syn::parse2(call).and_then(crate::check::check).err().expect(code).to_string();
        assert!(error.contains("cannot be a region's code"), "{code:?}: {error}");
    }
}

#[test]
fn no_primary() {
    assert_refused("replica near", &expect!["1:0 there is no primary; write `primary CODE;`"]);
}

#[test]
fn an_unknown_statement() {
    assert_refused(
        "primary home; replicas near",
        &expect!["1:14 `replicas` is not a statement; write `primary CODE;` or `replica CODE;`"],
    );
}

#[test]
fn an_unknown_option() {
    assert_refused(
        "primary home { city: \"Rome\" }",
        &expect![
            "1:15 a region has no option `city`; write `region`, `line`, `place` or `url_env`"
        ],
    );
}

#[test]
fn a_further_server_needs_a_first_one() {
    assert_refused(
        r#"primary home { region: near }; replica "near-2" { region: near }; replica near"#,
        &expect![[r#"
            1:23 the primary is the only server of its region
            1:58 declare `replica near` first"#]],
    );
}

#[test]
fn no_code() {
    assert_refused(
        "primary 5",
        &expect![[r#"1:8 expected a region's code, such as `ord` or "us-east-1""#]],
    );
}
