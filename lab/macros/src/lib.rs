//! `#[archipelago_lab::test(…)]`: a test with a world of Postgres servers.
//!
//! The way through: `parse` reads the attribute, `check` refuses what cannot be run, `expand` writes the test. What a test then
//! does is ordinary code: `lab/src/test.rs`. What this crate must not know: PostgreSQL, any file, any environment variable.

mod check;
mod expand;
mod parse;

use proc_macro::TokenStream;

// The documentation is at the place where this is re-exported: `lab/src/lib.rs`.
#[expect(missing_docs)]
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, function: TokenStream) -> TokenStream {
    expand_or_explain(arguments.into(), function.into()).into()
}

fn expand_or_explain(
    arguments: proc_macro2::TokenStream,
    function: proc_macro2::TokenStream,
) -> proc_macro2::TokenStream {
    let checked = syn::parse2(arguments)
        .and_then(|arguments| check::check(arguments, syn::parse2(function)?));
    match checked {
        Ok(test) => expand::expand(test),
        Err(error) => error.into_compile_error(),
    }
}

#[cfg(test)]
mod tests;
