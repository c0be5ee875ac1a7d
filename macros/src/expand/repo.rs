//! One struct for each region. Only the primary's has a method that leads to writing.

use proc_macro2::TokenStream;
use quote::quote;

use crate::check::Declaration;
use crate::parse::Repo;

pub(super) fn expand_primary(declaration: &Declaration) -> TokenStream {
    let primary = &declaration.primary;
    let doc = format!(" The primary, {}: reads and writes.", primary.title());
    let common = common(declaration, primary, &doc, "Primary", Some(&quote!(writing: ::archipelago::Pool,)));
    let name = primary.code.repo();
    quote! {
        #common

        #[allow(dead_code, reason = "no program needs every repo")]
        impl #name {
            /// Writes to this database.
            #[must_use]
            pub fn writes(&self) -> ::archipelago::Primary<'_> {
                ::archipelago::Primary::new(&self.writing, &self.reading)
            }
        }
    }
}

pub(super) fn expand_replica(declaration: &Declaration, replica: &Repo) -> TokenStream {
    let doc = format!(" The replica in {}: reads only.", replica.title());
    common(declaration, replica, &doc, "Replica", None)
}

fn common(declaration: &Declaration, repo: &Repo, doc: &str, role: &str, writing: Option<&TokenStream>) -> TokenStream {
    let (new_pool, access) = (quote!(::archipelago::Pool::new), quote!(::archipelago::Access));
    let open_writing = writing.map(|_| quote!(writing: #new_pool(Self::INFO, #access::Write, settings)?,));
    let origin = declaration.origin(repo).map(|origin| quote! { #[doc = ""] #[doc = #origin] });
    let (name, variant, code) = (repo.code.repo(), repo.code.camel(), &repo.code.text);
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
            #writing
            reading: ::archipelago::Pool,
        }

        #[allow(dead_code, reason = "no program needs every repo")]
        impl #name {
            /// The region of this repo.
            pub const REGION: Region = Region::#variant;

            /// What was declared of it.
            pub const INFO: &'static ::archipelago::RegionInfo = &::archipelago::RegionInfo {
                code: #code,
                repo: #name_text,
                role: ::archipelago::Role::#role,
                place: #place,
                line: #line,
                url_env: #url_env,
            };

            /// Reads from this database, wherever this instance runs.
            #[must_use]
            pub fn reads(&self) -> ::archipelago::Replica<'_> {
                self.reads_because(::archipelago::Reason::Local)
            }

            /// The connections that these reads use.
            #[must_use]
            pub fn pool(&self) -> &::archipelago::Pool {
                &self.reading
            }

            fn new(settings: &::archipelago::Settings) -> ::core::result::Result<Self, ::archipelago::SettingError> {
                ::core::result::Result::Ok(Self {
                    #open_writing
                    reading: #new_pool(Self::INFO, #access::Read, settings)?,
                })
            }

            fn reads_because(&self, reason: ::archipelago::Reason) -> ::archipelago::Replica<'_> {
                ::archipelago::Replica::new(&self.reading, reason)
            }
        }
    }
}

fn optional(literal: Option<&impl quote::ToTokens>) -> TokenStream {
    match literal {
        Some(literal) => quote!(::core::option::Option::Some(#literal)),
        None => quote!(::core::option::Option::None),
    }
}
