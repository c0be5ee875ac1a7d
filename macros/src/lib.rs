//! `repos! { … }`: one typed repo for each Postgres region.
//!
//! The way through: `parse` reads the call, `check` refuses what cannot be built, `expand` writes the code. The call is made by
//! hand in a test, and by `regions/src/render.rs` in an app. What this crate must not know: any file, any environment variable,
//! any place in the world.

mod check;
mod expand;
mod parse;

use proc_macro::TokenStream;

/// Declares the regions of a Postgres, and generates a typed repo for each.
///
/// ```text
/// repos! { primary home; replica near; replica far }
/// ```
///
/// generates `RepoHome`, which reads and writes, `RepoNear` and `RepoFar`, which only read, the enum `Region`, and `Repos`, which
/// owns every repo and chooses among them. A code that is no identifier is written as a string: `replica "us-east-1"`.
///
/// An app does not write the call: its `build.rs` makes it from `regions.toml`, with what only a file and a map of the world can
/// tell, in this grammar (each part optional but the primary):
///
/// ```text
/// source "regions.toml";
/// primary nrt { line: 1, place: "Tokyo, Japan" };
/// replica depot { line: 2, url_env: "DEPOT_DATABASE_URL" };
/// nearest fra: depot;
/// pool_size 10;
/// max_lag_ms 10000;
/// max_spill 100;
/// writes replay;
/// ```
#[proc_macro]
pub fn repos(input: TokenStream) -> TokenStream {
    expand_or_explain(input.into()).into()
}

fn expand_or_explain(input: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    let expanded =
        syn::parse2(input).and_then(|statements: parse::Statements| check::check(statements));
    match expanded {
        Ok(declaration) => expand::expand(&declaration),
        Err(error) => error.into_compile_error(),
    }
}

#[cfg(test)]
mod tests;
