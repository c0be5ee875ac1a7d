//! `repos! { … }`: one typed repo for each Postgres region.
//!
//! `parse` reads the call, `check` refuses what cannot be generated, and `expand` generates the
//! code. A test writes the call by hand; in an app, `regions/src/render.rs` does. This crate must
//! not know any file, any environment variable, or any place in the world.

mod check;
mod expand;
mod parse;

use proc_macro::TokenStream;

/// Declares the regions of a Postgres database, and generates a typed repo for each.
///
/// ```text
/// repos! { primary home; replica near; replica far }
/// ```
///
/// generates `RepoHome`, which reads and writes, `RepoNear` and `RepoFar`, which only read, the
/// enum `Region`, and `Repos`, which owns every repo and routes reads and writes. A code that is no
/// identifier is written as a string: `replica "us-east-1"`.
///
/// An app does not write the call: its build.rs generates it from regions.toml. The generated call
/// adds what only a file and a map of the world can tell, in the statements below. Only the primary
/// is required.
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
/// follow_promotions true;
/// ```
#[proc_macro]
pub fn repos(input: TokenStream) -> TokenStream {
    expand_or_explain(input.into()).into()
}

/// The generated code, or the mistakes as compile errors.
fn expand_or_explain(input: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    let checked =
        syn::parse2(input).and_then(|statements: parse::Statements| check::check(statements));
    match checked {
        Ok(declaration) => expand::expand(&declaration),
        Err(error) => error.into_compile_error(),
    }
}

#[cfg(test)]
mod tests;
