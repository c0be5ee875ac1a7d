//! What the attribute expands to, and its messages for mistakes.
//!
//! After an intended change: `UPDATE_EXPECT=1 cargo test -p archipelago-lab-macros`.

use expect_test::{Expect, expect};

#[track_caller]
fn check(arguments: &str, function: &str, expected: &Expect) {
    let [arguments, function] =
        [arguments, function].map(|input| input.parse().expect("the input is made of tokens"));
    let file =
        syn::parse2(crate::expand_or_explain(arguments, function)).expect("the output is Rust");
    expected.assert_eq(&prettyplease::unparse(&file));
}

/// Each mistake with its line and column, in the attribute or in the function.
#[track_caller]
fn refuse(arguments: &str, function: &str, expected: &Expect) {
    let [arguments, function] =
        [arguments, function].map(|input| input.parse().expect("the input is made of tokens"));
    let checked = syn::parse2(arguments)
        .and_then(|arguments| crate::check::check(arguments, syn::parse2(function)?));
    let mistakes = checked.err().expect("the input is refused").into_iter().map(|mistake| {
        let at = mistake.span().start();
        format!("{}:{} {mistake}", at.line, at.column)
    });
    expected.assert_eq(&mistakes.collect::<Vec<_>>().join("\n"));
}

const GOOD: &str = "async fn test(world: World) {}";

#[test]
fn a_test_keeps_its_attributes_and_return_type() {
    check(
        r#"primary = "home", replicas = ["near", "far"], own_servers"#,
        r#"
        /// What it shows.
        #[ignore = "slow"]
        #[cfg(feature = "slow")]
        pub(crate) async fn r#try(mut world: World) -> Result<(), LabError> {
            world.primary().stop().await
        }
        "#,
        &expect![[r#"
            /// What it shows.
            #[ignore = "slow"]
            #[cfg(feature = "slow")]
            #[::core::prelude::v1::test]
            pub(crate) fn r#try() -> Result<(), LabError> {
                #[allow(clippy::unused_async)]
                async fn r#try(mut world: World) -> Result<(), LabError> {
                    world.primary().stop().await
                }
                ::archipelago_lab::__Test {
                    name: "try",
                    primary: "home",
                    replicas: &["near", "far"],
                    own_servers: true,
                    flavor: ::archipelago_lab::__Flavor::MultiThread,
                }
                    .run(r#try)
            }
        "#]],
    );
}

#[test]
fn a_primary_alone() {
    check(
        r#"primary = "home""#,
        GOOD,
        &expect![[r##"
        #[::core::prelude::v1::test]
        fn test() {
            #[allow(clippy::unused_async)]
            async fn test(world: World) {}
            ::archipelago_lab::__Test {
                name: "test",
                primary: "home",
                replicas: &[],
                own_servers: false,
                flavor: ::archipelago_lab::__Flavor::MultiThread,
            }
                .run(test)
        }
    "##]],
    );
}

#[test]
fn constants_and_a_flavor() {
    check(
        r#"primary = regions::PRIMARY, replicas = REPLICAS, flavor = "current_thread""#,
        GOOD,
        &expect![[r##"
            #[::core::prelude::v1::test]
            fn test() {
                #[allow(clippy::unused_async)]
                async fn test(world: World) {}
                ::archipelago_lab::__Test {
                    name: "test",
                    primary: regions::PRIMARY,
                    replicas: REPLICAS,
                    own_servers: false,
                    flavor: ::archipelago_lab::__Flavor::CurrentThread,
                }
                    .run(test)
            }
        "##]],
    );
}

#[test]
fn keys() {
    refuse(
        r#"primary = "home", flavor = "single""#,
        GOOD,
        &expect![
            "1:27 `single` is no flavor of a runtime; write `multi_thread` or `current_thread`"
        ],
    );
    refuse(
        "",
        GOOD,
        &expect![[
            r#"1:0 every world has a primary; write `primary = "home"`, with a region's name"#
        ]],
    );
    refuse(
        r#"primary = "home", replica = "near""#,
        GOOD,
        &expect![
            "1:18 the attribute has no key `replica`; it may have `primary`, `replicas`, `own_servers` and `flavor`"
        ],
    );
    refuse("primary", GOOD, &expect!["1:0 expected `=`"]);
    refuse("primary = home", GOOD, &expect!["1:10 expected string literal"]);
    refuse(
        r#"primary = "home", replicas = "near""#,
        GOOD,
        &expect![[r#"1:29 the replicas are a list, as in `replicas = ["near", "far"]`"#]],
    );
    refuse(
        r#"primary = "home", replicas = ["near", 5]"#,
        GOOD,
        &expect!["1:38 expected string literal"],
    );
    refuse(r#"primary = "home", own_servers = true"#, GOOD, &expect!["1:30 expected `,`"]);
}

#[test]
fn every_mistake_at_once() {
    refuse(
        "primary = \"home\",\nprimary = \"other\",\nreplicas = [\"near\",\n\"near\",\n\"home\",\n\"Far\",\n\"a--b\"],\nown_servers,\nown_servers",
        "#[tokio::test]\nfn test<T>(world: World,\n other: T) {}",
        &expect![[r#"
            2:0 a second `primary`; there can be only one
            9:0 a second `own_servers`; there can be only one
            4:0 the region `near` is listed twice; it has one server
            5:0 the region `home` is listed twice; it has one server
            6:0 `Far` cannot name a region: begin with a lowercase letter, continue with lowercase letters and digits, separate words by a single `-` or `_`, and use at most 63 characters
            7:0 `a--b` cannot name a region: begin with a lowercase letter, continue with lowercase letters and digits, separate words by a single `-` or `_`, and use at most 63 characters
            2:0 a test with a world is asynchronous; write `async fn`
            2:7 a generic test has no type to run for; write one without parameters
            2:10 a test with a world takes the world and nothing else; write `(world: World)`
            1:2 `archipelago_lab::test` makes it a test by itself; remove this attribute"#]],
    );
}

#[test]
fn a_test_takes_a_world() {
    refuse(
        r#"primary = "home""#,
        "async fn test() {}",
        &expect![
            "1:13 a test with a world takes the world and nothing else; write `(world: World)`"
        ],
    );
    refuse(r#"primary = "home""#, "struct Test;", &expect!["1:0 expected `fn`"]);
}
