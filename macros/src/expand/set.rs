//! Generates the struct `Repos`, which owns every repo, and its match on the region string.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use super::region::grouped;
use crate::check::Declaration;
use crate::parse::{Code, Coordinates};

pub(super) fn expand(declaration: &Declaration) -> TokenStream {
    let fields: Vec<_> = declaration.repos().map(|repo| repo.code.field()).collect();
    let names: Vec<_> = declaration.repos().map(|repo| repo.code.repo()).collect();
    let field_docs = declaration.repos().map(|repo| format!(" The repo of {}.", repo.title()));
    let members: Vec<_> = (0..names.len()).map(Literal::usize_unsuffixed).collect();
    let replica_in = replica_in(declaration);
    let repo_set = repo_set(declaration);

    quote! {
        /// Every repo, and the routing among them.
        ///
        /// [`connect`](Self::connect) creates it and [`shutdown`](Self::shutdown) closes it.
        #[derive(Debug)]
        pub struct Repos {
            region: ::std::string::String,
            cluster: ::archipelago::Cluster,
            // Boxed, so that `Repos` has the same layout with each number of regions: what uses it is
            // not compiled again.
            each: ::std::boxed::Box<EachRepo>,
        }

        #[derive(Debug)]
        struct EachRepo(#(#names),*);

        #[allow(dead_code, reason = "no program needs every repo")]
        impl Repos {
            /// The declarations of all regions, the primary first.
            pub const REGIONS: &'static [::archipelago::RegionInfo] = &[#(*#names::INFO),*];

            /// Creates every repo, and connects to each database when it is first used.
            ///
            /// # Errors
            /// If the settings belong to other regions, or one of them cannot be used.
            pub fn new(settings: &::archipelago::Settings) -> ::core::result::Result<Self, ::archipelago::SettingsError> {
                let cluster = ::archipelago::Cluster::new::<Self>(settings)?;
                let each = EachRepo(#(#names { member: cluster.member(#members) }),*);
                ::core::result::Result::Ok(Self {
                    region: ::std::string::String::from(settings.region()),
                    cluster,
                    each: ::std::boxed::Box::new(each),
                })
            }

            /// Creates every repo, and connects to the primary and to the database of local reads.
            ///
            /// A shared connection belongs to the calling runtime. A database that is down is no error.
            ///
            /// # Errors
            /// If the settings belong to other regions, or one of them cannot be used.
            pub async fn connect(
                settings: &::archipelago::Settings,
            ) -> ::core::result::Result<Self, ::archipelago::SettingsError> {
                let repos = Self::new(settings)?;
                ::archipelago::RepoSet::warm_up(&repos).await;
                ::core::result::Result::Ok(repos)
            }

            /// Closes every connection after the queries in flight. A later query gets an error.
            pub async fn shutdown(&self) {
                ::archipelago::RepoSet::shut_down(self).await;
            }

            /// The region of this instance; empty if unknown.
            #[must_use]
            pub fn region(&self) -> &str {
                &self.region
            }

            /// A handle to the primary, for writes. It follows a promotion to another region.
            #[must_use]
            pub fn primary(&self) -> ::archipelago::Primary<'_> {
                ::archipelago::Primary::new(&self.cluster)
            }

            /// A handle for reads from this instance's region, or else from the nearest replica.
            ///
            /// If a database cannot serve a read, the next nearest does.
            #[must_use]
            pub fn replica(&self) -> ::archipelago::Replica<'_> {
                self.replica_in(&self.region)
            }

            #replica_in

            #(
                #[doc = #field_docs]
                #[must_use]
                pub fn #fields(&self) -> &#names {
                    &self.each.#members
                }
            )*
        }

        #repo_set
    }
}

/// Each arm lists every member, in the order in which they are tried. A region with a database
/// starts with its own, a place with its nearest replica, and any other string with the primary.
fn replica_in(declaration: &Declaration) -> TokenStream {
    let near = |order: &[usize], reason: TokenStream| {
        let order = order.iter().copied().map(Literal::usize_unsuffixed);
        quote! {
            ::archipelago::Replica::near(&self.cluster, &[#(#order),*], ::archipelago::Reason::#reason)
        }
    };
    let codes: Vec<_> = declaration.repos().map(|repo| repo.code.text.as_str()).collect();
    let number = |code: &str| codes.iter().position(|known| *known == code);
    let regions: Vec<_> = declaration
        .repos()
        .map(|repo| repo.region.as_ref().unwrap_or(&repo.code).text.as_str())
        .collect();
    // The members in `first`, each with the further servers of its region, then all others.
    let order = |first: &[Code]| {
        let mut order = Vec::new();
        let servers = |code: &str| {
            let is_there = |index: &usize| codes[*index] == code || regions[*index] == code;
            (0..codes.len()).filter(is_there).collect::<Vec<_>>()
        };
        for index in first.iter().flat_map(|code| servers(&code.text)).chain(0..codes.len()) {
            if !order.contains(&index) {
                order.push(index);
            }
        }
        order
    };
    let nearest_to =
        |place: &str| declaration.nearest.iter().find(|nearest| nearest.place.text == place);
    // A further server of a region is no place of its own.
    let firsts = declaration.repos().filter(|repo| repo.region.is_none());
    let local = firsts.map(|repo| {
        let code = &repo.code.text;
        let nearest = nearest_to(code).map_or(&[][..], |nearest| &nearest.order);
        let order = order(&[std::slice::from_ref(&repo.code), nearest].concat());
        let replica = near(&order, quote!(Local));
        quote! { #code => #replica, }
    });
    let elsewhere = declaration
        .nearest
        .iter()
        .filter(|nearest| number(&nearest.place.text).is_none() && !nearest.order.is_empty());
    let nearest = grouped(elsewhere, &order).map(|(places, nearest)| {
        let replica = near(&order(nearest), quote!(Nearest));
        quote! { #(#places)|* => #replica, }
    });
    let otherwise = near(&order(&[]), quote!(Primary));
    quote! {
        /// A handle for reads from the database in `region`, or else from the nearest replica.
        ///
        /// If a database cannot serve a read, the next nearest does. An unknown or empty `region`
        /// gets the primary.
        #[must_use]
        pub fn replica_in(&self, region: &str) -> ::archipelago::Replica<'_> {
            match region {
                #(#local)*
                #(#nearest)*
                _ => #otherwise,
            }
        }
    }
}

/// A `Duration` in the largest unit that divides it: 5000 becomes `from_secs(5)`.
fn duration(milliseconds: u32) -> TokenStream {
    let (unit, length) = [("hours", 3_600_000), ("mins", 60_000), ("secs", 1000), ("millis", 1)]
        .into_iter()
        .find(|(_, length)| milliseconds.is_multiple_of(*length))
        .unwrap_or(("millis", 1));
    let constructor = quote::format_ident!("from_{unit}");
    let number = Literal::u32_unsuffixed(milliseconds / length);
    quote!(::core::time::Duration::#constructor(#number))
}

fn coordinates(places: &[Coordinates]) -> Option<TokenStream> {
    let places = places.iter().map(|Coordinates { place, latitude, longitude }| {
        let code = &place.text;
        quote! { ::archipelago::Coordinates::new(#code, #latitude, #longitude) }
    });
    let is_any = places.len() > 0;
    is_any.then(
        || quote! { const COORDINATES: &'static [::archipelago::Coordinates] = &[#(#places),*]; },
    )
}

fn repo_set(declaration: &Declaration) -> TokenStream {
    let primary_repo = declaration.primary.code.repo();
    let places = declaration.nearest.iter().map(|nearest| &nearest.place.text);
    let coordinates = coordinates(&declaration.coordinates);
    let pool_size = declaration
        .pool_size
        .map(Literal::u32_unsuffixed)
        .map(|size| quote! { const POOL_SIZE: u32 = #size; });
    let max_lag = declaration.max_lag_ms.as_ref().map(|lag| {
        let lag = duration(*lag);
        quote! { const MAX_LAG: ::core::time::Duration = #lag; }
    });
    let max_spill = declaration
        .max_spill
        .map(proc_macro2::Literal::u32_unsuffixed)
        .map(|reads| quote! { const MAX_SPILL: u32 = #reads; });
    let writes = declaration.writes.as_ref().map(|mode| {
        let mode = if mode == "direct" { quote!(Direct) } else { quote!(Replay) };
        quote! { const WRITES: ::archipelago::Writes = ::archipelago::Writes::#mode; }
    });
    let follow_promotions = declaration
        .follow_promotions
        .as_ref()
        .map(|choice| quote! { const FOLLOW_PROMOTIONS: bool = #choice; });
    quote! {
        impl ::archipelago::RegionSet for Repos {
            const PRIMARY: &'static ::archipelago::RegionInfo = #primary_repo::INFO;
            const REGIONS: &'static [::archipelago::RegionInfo] = Self::REGIONS;
            const PLACES: &'static [&'static str] = &[#(#places),*];
            #coordinates
            #pool_size
            #max_lag
            #max_spill
            #writes
            #follow_promotions

            fn nearest_to(place: &str) -> impl ::core::iter::Iterator<Item = &'static str> {
                Region::nearest_to(place).iter().map(|region| region.as_str())
            }
        }

        impl ::archipelago::RepoSet for Repos {
            fn region(&self) -> &str {
                self.region()
            }

            fn cluster(&self) -> &::archipelago::Cluster {
                &self.cluster
            }

            fn replica(&self) -> ::archipelago::Replica<'_> {
                self.replica()
            }

            fn replica_in(&self, region: &str) -> ::archipelago::Replica<'_> {
                self.replica_in(region)
            }
        }
    }
}
