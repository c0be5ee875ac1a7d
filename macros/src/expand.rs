//! Writes the code: the enum of regions, a struct for each repo, the set that owns them.

mod region;
mod repo;
mod set;

use proc_macro2::TokenStream;
use quote::quote;

use crate::check::Declaration;
use crate::parse::Repo;

pub(crate) fn expand(declaration: &Declaration) -> TokenStream {
    let region = region::expand(declaration);
    let primary = repo::expand_primary(declaration);
    let replicas =
        declaration.replicas.iter().map(|replica| repo::expand_replica(declaration, replica));
    let set = set::expand(declaration);
    quote! { #region #primary #(#replicas)* #set }
}

impl Declaration {
    /// Every repo, the primary first.
    fn repos(&self) -> impl Iterator<Item = &Repo> {
        std::iter::once(&self.primary).chain(&self.replicas)
    }

    /// Where a repo comes from, for its documentation: ` From regions.toml, line 2.`
    fn origin(&self, repo: &Repo) -> Option<String> {
        let (source, line) = (self.source.as_ref()?, repo.line.as_ref()?);
        Some(format!(" From {}, line {line}.", source.value()))
    }
}

impl Repo {
    /// `` `ord` (Chicago, Illinois (US)) ``
    fn title(&self) -> String {
        match &self.place {
            Some(place) => format!("`{}` ({})", self.code.text, place.value()),
            None => format!("`{}`", self.code.text),
        }
    }
}
