//! Refuses what cannot be run, each mistake at the token that is wrong, all of them at once.

use std::collections::HashSet;

use proc_macro2::Span;
use syn::{Error, ItemFn, LitStr, Result};

use crate::parse::{Argument, Arguments};

/// A test that can be run.
pub(crate) struct Test {
    pub(crate) primary: LitStr,
    pub(crate) replicas: Vec<LitStr>,
    pub(crate) own_servers: bool,
    pub(crate) function: ItemFn,
}

/// What `cluster_name` takes.
const LONGEST: usize = 63;

pub(crate) fn check(Arguments(arguments): Arguments, function: ItemFn) -> Result<Test> {
    let mut mistakes = Mistakes::default();
    let (mut primary, mut replicas, mut own_servers) = (None, None, None);
    for argument in arguments {
        match argument {
            Argument::Primary(key, region) => {
                mistakes.only_once(&mut primary, key, "primary", region)
            }
            Argument::Replicas(key, regions) => {
                mistakes.only_once(&mut replicas, key, "replicas", regions)
            }
            Argument::OwnServers(key) => {
                mistakes.only_once(&mut own_servers, key, "own_servers", ())
            }
        }
    }
    let replicas = replicas.unwrap_or_default();
    mistakes.regions(primary.iter().chain(&replicas));
    mistakes.function(&function);
    let Some(primary) = primary else {
        mistakes.add(
            Span::call_site(),
            "every world has a primary; write `primary = \"home\"`, with a region's name",
        );
        return Err(mistakes.into_error());
    };
    if mistakes.0.is_empty() {
        Ok(Test { primary, replicas, own_servers: own_servers.is_some(), function })
    } else {
        Err(mistakes.into_error())
    }
}

#[derive(Default)]
struct Mistakes(Vec<Error>);

impl Mistakes {
    fn add(&mut self, span: Span, message: impl std::fmt::Display) {
        self.0.push(Error::new(span, message));
    }

    fn only_once<T>(&mut self, place: &mut Option<T>, span: Span, key: &str, value: T) {
        if place.is_some() {
            self.add(span, format!("a second `{key}`; there can be only one"));
        }
        place.get_or_insert(value);
    }

    /// The rule of `lab/src/region.rs`, found while there is a token to point at.
    fn regions<'a>(&mut self, regions: impl Iterator<Item = &'a LitStr>) {
        let mut seen = HashSet::new();
        for region in regions {
            let name = region.value();
            if !is_name(&name) {
                self.add(
                    region.span(),
                    format!(
                        "`{name}` cannot name a region of the lab: write a lowercase letter first, then lowercase letters and \
                         digits, with a single `-` or `_` between them where you like, at most {LONGEST} in all"
                    ),
                );
            } else if !seen.insert(name) {
                self.add(
                    region.span(),
                    format!("the region `{}` is here twice; it has one server", region.value()),
                );
            }
        }
    }

    fn function(&mut self, function: &ItemFn) {
        let signature = &function.sig;
        if signature.asyncness.is_none() {
            self.add(
                signature.fn_token.span,
                "a test with a world is asynchronous; write `async fn`",
            );
        }
        if let Some(opening) = signature.generics.lt_token {
            self.add(
                opening.span,
                "nobody could say for which type a generic test runs; write one without parameters",
            );
        }
        if signature.inputs.len() != 1 {
            self.add(
                signature.paren_token.span.join(),
                "a test with a world takes the world and nothing else; write `(world: World)`",
            );
        }
        for attribute in &function.attrs {
            if attribute.path().segments.last().is_some_and(|last| last.ident == "test") {
                let span = attribute.path().segments[0].ident.span();
                self.add(
                    span,
                    "`archipelago_lab::test` makes it a test by itself; remove this attribute",
                );
            }
        }
    }

    fn into_error(self) -> Error {
        self.0
            .into_iter()
            .reduce(|mut all, next| {
                all.combine(next);
                all
            })
            .unwrap_or_else(|| Error::new(Span::call_site(), "this test cannot be run"))
    }
}

/// `[a-z][a-z0-9]*([-_][a-z0-9]+)*`, at most [`LONGEST`] bytes.
fn is_name(name: &str) -> bool {
    name.len() <= LONGEST
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.split(['-', '_']).all(|word| {
            !word.is_empty()
                && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        })
}
