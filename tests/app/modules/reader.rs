//! Reads one file's modules: what each imports, and the paths that its code names.

use std::path::PathBuf;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemMod, ItemUse, Lit, Macro, Meta, UseTree, VisRestricted};

use super::Module;

/// A module whose code is in a file of its own.
pub(super) struct Outside {
    /// Where the file may be.
    pub(super) files: Vec<PathBuf>,
    /// Where the files of the modules inside it are.
    pub(super) folder: PathBuf,
    pub(super) path: Vec<String>,
}

/// Reads the module of `file` and those written inside it, and names those in other files.
pub(super) fn read(
    text: &str,
    file: PathBuf,
    folder: PathBuf,
    path: Vec<String>,
) -> (Vec<Module>, Vec<Outside>) {
    let code = syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let module = Module { file, path, ..Module::default() };
    let mut reader = Reader { modules: vec![module], at: 0, folder, outside: Vec::new() };
    reader.visit_file(&code);
    (reader.modules, reader.outside)
}

struct Reader {
    modules: Vec<Module>,
    /// The module that is being read.
    at: usize,
    /// Where the files of the modules inside this one are.
    folder: PathBuf,
    outside: Vec<Outside>,
}

impl Reader {
    fn name(&mut self, line: usize, path: Vec<String>) {
        self.modules[self.at].named.push((line, path));
    }

    fn use_tree(&mut self, tree: &UseTree, mut path: Vec<String>, imports: bool) {
        let line = tree.span().start().line;
        let import = |reader: &mut Self, path: Vec<String>, name: String| {
            if imports {
                reader.modules[reader.at].imports.insert(name, path.clone());
            }
            reader.name(line, path);
        };
        match tree {
            UseTree::Path(step) => {
                path.push(step.ident.unraw().to_string());
                self.use_tree(&step.tree, path, imports);
            }
            UseTree::Name(name) => {
                let name = name.ident.unraw().to_string();
                let last = path.last().cloned().unwrap_or_default();
                let bound = if name == "self" { last } else { name.clone() };
                path.push(name);
                import(self, path, bound);
            }
            UseTree::Rename(rename) => {
                path.push(rename.ident.unraw().to_string());
                import(self, path, rename.rename.unraw().to_string());
            }
            UseTree::Glob(_) => {
                path.push("*".to_owned());
                self.name(line, path);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(tree, path.clone(), imports);
                }
            }
        }
    }

    /// The paths in what is handed to a macro.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let is_colon = |at: usize| {
            let token = tokens.get(at);
            matches!(token, Some(TokenTree::Punct(mark)) if mark.as_char() == ':')
        };
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(first)
                    if ["crate", "self", "super"].iter().any(|root| first == root) =>
                {
                    let mut path = vec![first.to_string()];
                    let mut after = at + 1;
                    while is_colon(after)
                        && is_colon(after + 1)
                        && let Some(TokenTree::Ident(name)) = tokens.get(after + 2)
                    {
                        path.push(name.unraw().to_string());
                        after += 3;
                    }
                    self.name(first.span().start().line, path);
                }
                _ => (),
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_for_tests(item) {
            return;
        }
        match item {
            // Only the imports of the module itself are names for others.
            Item::Use(item) => self.use_tree(&item.tree, Vec::new(), true),
            item => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !is_for_tests(item) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let name = item.ident.unraw().to_string();
        let path = [self.modules[self.at].path.as_slice(), std::slice::from_ref(&name)].concat();
        let folder = self.folder.join(&name);
        if item.content.is_some() {
            let file = self.modules[self.at].file.clone();
            self.modules.push(Module { file, path, ..Module::default() });
            let outer = (self.at, std::mem::replace(&mut self.folder, folder));
            self.at = self.modules.len() - 1;
            visit::visit_item_mod(self, item);
            (self.at, self.folder) = outer;
            return;
        }
        let (files, folder) = if let Some(file) = item.attrs.iter().find_map(path_attribute) {
            let file = self.modules[0].file.with_file_name(file);
            let folder = file.parent().unwrap().to_owned();
            (vec![file], folder)
        } else {
            (vec![self.folder.join(format!("{name}.rs")), folder.join("mod.rs")], folder)
        };
        self.outside.push(Outside { files, folder, path });
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.use_tree(&item.tree, Vec::new(), false);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() && path.segments.len() > 1 {
            let names = path.segments.iter().map(|segment| segment.ident.unraw().to_string());
            self.name(path.span().start().line, names.collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        visit::visit_macro(self, call);
        self.tokens(call.tokens.clone());
    }

    /// `pub(in crate::a)` uses nothing.
    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}
}

/// Whether it stands under `#[cfg(test)]` or `#[cfg(doctest)]`.
fn is_for_tests(item: &impl ToTokens) -> bool {
    let attributes = |input: ParseStream| {
        let attributes = Attribute::parse_outer(input)?;
        input.parse::<TokenStream>()?;
        Ok(attributes)
    };
    attributes.parse2(item.to_token_stream()).into_iter().flatten().any(|attribute| {
        let Meta::List(list) = &attribute.meta else { return false };
        let condition = list.tokens.to_string().replace(' ', "");
        list.path.is_ident("cfg")
            && (matches!(condition.as_str(), "test" | "doctest")
                || condition.starts_with("all(test,"))
    })
}

/// The file that `#[path = "…"]` names.
fn path_attribute(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else { return None };
    let syn::Expr::Lit(value) = &pair.value else { return None };
    let Lit::Str(file) = &value.lit else { return None };
    attribute.path().is_ident("path").then(|| file.value())
}
