//! Generates the enum `Region`: its variants, conversions from and to strings, and `nearest_to`.

use proc_macro2::TokenStream;
use quote::quote;

use crate::check::Declaration;
use crate::parse::{Code, Nearest};

pub(super) fn expand(declaration: &Declaration) -> TokenStream {
    let variants: Vec<_> = declaration.repos().map(|repo| repo.code.variant()).collect();
    let codes: Vec<_> = declaration.repos().map(|repo| &repo.code.text).collect();
    let docs = declaration.repos().map(|repo| format!(" {}.", repo.title()));
    let nearest_to = nearest_to(&declaration.nearest);

    quote! {
        /// A region with a database of its own.
        #[allow(dead_code, reason = "no program needs to name every region")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Region {
            #(
                #[doc = #docs]
                #variants,
            )*
        }

        #[allow(dead_code, reason = "no program needs to name every region")]
        impl Region {
            /// Every region, the primary's first.
            pub const ALL: &'static [Self] = &[#(Self::#variants),*];

            /// The region's code, as in `FLY_REGION`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    #(Self::#variants => #codes,)*
                }
            }

            #nearest_to
        }

        impl ::core::fmt::Display for Region {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl ::core::str::FromStr for Region {
            type Err = ::archipelago::UnknownRegion;

            fn from_str(code: &str) -> ::core::result::Result<Self, Self::Err> {
                match code {
                    #(#codes => ::core::result::Result::Ok(Self::#variants),)*
                    _ => ::core::result::Result::Err(
                        ::archipelago::UnknownRegion::new(code, &[#(#codes),*]),
                    ),
                }
            }
        }
    }
}

/// Places with the same order share one match arm.
fn nearest_to(nearest: &[Nearest]) -> TokenStream {
    let nearest: Vec<_> = nearest.iter().filter(|nearest| !nearest.order.is_empty()).collect();
    let arms = grouped(nearest.iter().copied(), |order| {
        order.iter().map(|code| code.text.clone()).collect::<Vec<_>>()
    })
    .map(|(places, order)| {
        let order = order.iter().map(Code::variant);
        quote! { #(#places)|* => &[#(Self::#order),*], }
    });
    let place = if nearest.is_empty() { quote!(_place) } else { quote!(place) };
    let body = if nearest.is_empty() {
        quote!(&[])
    } else {
        quote! { match place { #(#arms)* _ => &[], } }
    };
    quote! {
        /// The replicas, nearest first, as seen from `place`; empty for an unknown place.
        #[must_use]
        pub fn nearest_to(#place: &str) -> &'static [Self] {
            #body
        }
    }
}

/// Groups the orders by `key`: the places of each group, and the order of its first place.
pub(super) fn grouped<'a, K: PartialEq>(
    nearest: impl IntoIterator<Item = &'a Nearest>,
    key: impl Fn(&'a [Code]) -> K,
) -> impl Iterator<Item = (Vec<&'a str>, &'a [Code])> {
    let mut groups: Vec<(K, Vec<&str>, &[Code])> = Vec::new();
    for Nearest { place, order } in nearest {
        let wanted = key(order);
        match groups.iter_mut().find(|(found, ..)| *found == wanted) {
            Some((_, places, _)) => places.push(&place.text),
            None => groups.push((wanted, vec![&place.text], order)),
        }
    }
    groups.into_iter().map(|(_, places, order)| (places, order))
}
