//! Generates one struct for each region, which reads from its database.

use proc_macro2::TokenStream;
use quote::quote;

use crate::check::Declaration;
use crate::parse::Repo;

pub(super) fn expand_primary(declaration: &Declaration) -> TokenStream {
    let primary = &declaration.primary;
    expand(
        declaration,
        primary,
        &format!(" The primary, {}: reads and writes.", primary.title()),
        "Primary",
    )
}

pub(super) fn expand_replica(declaration: &Declaration, replica: &Repo) -> TokenStream {
    expand(
        declaration,
        replica,
        &format!(" The replica in {}: reads only.", replica.title()),
        "Replica",
    )
}

fn expand(declaration: &Declaration, repo: &Repo, doc: &str, role: &str) -> TokenStream {
    let origin = declaration.origin(repo).map(|origin| quote! { #[doc = ""] #[doc = #origin] });
    let (name, variant, code) = (repo.code.repo(), repo.code.variant(), &repo.code.text);
    let region = repo.region.as_ref().map_or(code, |region| &region.text);
    let name_text = name.to_string();
    let role = proc_macro2::Ident::new(role, proc_macro2::Span::call_site());
    let place = optional(repo.place.as_ref());
    let line = optional(repo.line.as_ref());
    let url_env = optional(repo.url_env.as_ref());
    quote! {
        #[doc = #doc]
        #origin
        #[derive(Debug)]
        pub struct #name {
            member: ::std::sync::Arc<::archipelago::Member>,
        }

        // A scope of its own: `super::expand` says why.
        const _: () = {
            #[allow(dead_code, reason = "no program needs every repo")]
            impl #name {
                /// The region of this repo.
                pub const REGION: Region = Region::#variant;

                /// The declaration of this region.
                pub const INFO: &'static ::archipelago::RegionInfo = &::archipelago::RegionInfo::new(
                    #code,
                    #region,
                    #name_text,
                    ::archipelago::Role::#role,
                    #place,
                    #line,
                    #url_env,
                );

                /// A handle that reads from this database only, however far away or behind it is.
                #[must_use]
                pub fn reads(&self) -> ::archipelago::Replica<'_> {
                    ::archipelago::Replica::only(&self.member)
                }

                /// The connection pool of these reads.
                #[must_use]
                pub fn pool(&self) -> &::archipelago::Pool {
                    self.member.reading()
                }
            }
        };
    }
}

fn optional(literal: Option<&impl quote::ToTokens>) -> TokenStream {
    match literal {
        Some(literal) => quote!(::core::option::Option::Some(#literal)),
        None => quote!(::core::option::Option::None),
    }
}
