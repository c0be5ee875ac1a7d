//! Writes the test: an ordinary one that passes its body to `lab/src/test_attribute.rs`.

use std::mem;

use proc_macro2::TokenStream;
use quote::quote;
use syn::Visibility;
use syn::ext::IdentExt;

use crate::check::Test;

pub(crate) fn expand(
    Test { primary, replicas, own_servers, current_thread, function: mut body }: Test,
) -> TokenStream {
    // The function's attributes (`ignore`, `should_panic`, `cfg`, a lint) apply to the test, and
    // thereby to the body in it.
    let attributes = mem::take(&mut body.attrs);
    let visibility = mem::replace(&mut body.vis, Visibility::Inherited);
    let (name, output) = (&body.sig.ident, &body.sig.output);
    let text = name.unraw().to_string();
    let flavor = if current_thread { quote!(CurrentThread) } else { quote!(MultiThread) };
    quote! {
        #(#attributes)*
        #[::core::prelude::v1::test]
        #visibility fn #name() #output {
            #[allow(clippy::unused_async)]
            #body
            ::archipelago_lab::__Test {
                name: #text,
                primary: #primary,
                replicas: #replicas,
                own_servers: #own_servers,
                flavor: ::archipelago_lab::__Flavor::#flavor,
            }
            .run(#name)
        }
    }
}
