//! Writes the test: an ordinary one, which hands its body to `lab/src/test.rs`.

use std::mem;

use proc_macro2::TokenStream;
use quote::quote;
use syn::Visibility;
use syn::ext::IdentExt;

use crate::check::Test;

pub(crate) fn expand(
    Test { primary, replicas, own_servers, function: mut body }: Test,
) -> TokenStream {
    // What is said of the function (`ignore`, `should_panic`, `cfg`, a lint) holds for the test, and so for its body too.
    let attributes = mem::take(&mut body.attrs);
    let visibility = mem::replace(&mut body.vis, Visibility::Inherited);
    let (name, output) = (&body.sig.ident, &body.sig.output);
    let text = name.unraw().to_string();
    quote! {
        #(#attributes)*
        #[::core::prelude::v1::test]
        #visibility fn #name() #output {
            #[allow(clippy::unused_async)]
            #body
            ::archipelago_lab::__Test {
                name: #text,
                primary: #primary,
                replicas: &[#(#replicas),*],
                own_servers: #own_servers,
            }
            .run(#name)
        }
    }
}
