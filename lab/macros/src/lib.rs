//! `#[archipelago_lab::test(…)]`: a test with a world of Postgres servers.
//!
//! `parse` reads the attribute, `check` refuses mistakes, `expand` writes the test. What a test
//! does at run time is ordinary code in `lab/src/test_attribute.rs`. This crate knows no
//! PostgreSQL, reads no file and no environment variable.

mod check;
mod expand;
mod parse;

use proc_macro::TokenStream;

// Documented where it is re-exported: `lab/src/lib.rs`.
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
