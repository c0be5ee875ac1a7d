//! Generates the code: the enum `Region`, a struct for each repo, and `Repos`, which owns them.

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
    // What grows with the regions comes last, and its impls in scopes of their own (`const _`). The
    // compiler numbers the impls of each scope, those of derives behind the others; where a number
    // changes, everything that uses such an impl is compiled again.
    quote! { #region #set #primary #(#replicas)* }
}

impl Declaration {
    /// Every repo, the primary first.
    fn repos(&self) -> impl Iterator<Item = &Repo> {
        std::iter::once(&self.primary).chain(&self.replicas)
    }

    /// The line that declares a repo, for its documentation: ` From regions.toml, line 2.`
    fn origin(&self, repo: &Repo) -> Option<String> {
        let (source, line) = (self.source.as_ref()?, repo.line.as_ref()?);
        Some(format!(" From {}, line {line}.", source.value()))
    }
}

impl Repo {
    /// The code and the place, for documentation: `` `ord` (Chicago, Illinois (US)) ``.
    fn title(&self) -> String {
        match &self.place {
            Some(place) => format!("`{}` ({})", self.code.text, place.value()),
            None => format!("`{}`", self.code.text),
        }
    }
}
