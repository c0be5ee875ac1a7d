//! Refuses tests that cannot run: all mistakes at once, each at the token that is wrong.

use std::collections::HashSet;

use archipelago_regions::{MAX_REGION_CODE_LEN, is_region_code};
use proc_macro2::Span;
use syn::{Error, ItemFn, LitStr, Result};

use crate::parse::{Argument, Arguments, Primary, Replicas};

/// A test without a mistake.
pub(crate) struct Test {
    pub(crate) primary: Primary,
    pub(crate) replicas: Replicas,
    pub(crate) own_servers: bool,
    /// Whether everything runs on the test's own thread.
    pub(crate) current_thread: bool,
    pub(crate) function: ItemFn,
}

pub(crate) fn check(Arguments(arguments): Arguments, function: ItemFn) -> Result<Test> {
    let mut mistakes = Mistakes::default();
    let (mut primary, mut replicas, mut own_servers, mut flavor) = (None, None, None, None);
    for argument in arguments {
        match argument {
            Argument::Primary(key, region) => {
                mistakes.only_once(&mut primary, key, "primary", region);
            }
            Argument::Replicas(key, regions) => {
                mistakes.only_once(&mut replicas, key, "replicas", regions);
            }
            Argument::OwnServers(key) => {
                mistakes.only_once(&mut own_servers, key, "own_servers", ());
            }
            Argument::Flavor(key, flavor_name) => {
                mistakes.only_once(&mut flavor, key, "flavor", flavor_name);
            }
        }
    }
    let replicas = replicas.unwrap_or(Replicas::Literals(Vec::new()));
    mistakes.regions(literals(primary.as_ref(), &replicas));
    let current_thread = flavor.is_some_and(|flavor| mistakes.is_current_thread(&flavor));
    mistakes.function(&function);
    let Some(primary) = primary else {
        mistakes.add(
            Span::call_site(),
            "every world has a primary; write `primary = \"home\"`, with a region's name",
        );
        return Err(mistakes.into_error());
    };
    if mistakes.0.is_empty() {
        let own_servers = own_servers.is_some();
        Ok(Test { primary, replicas, own_servers, current_thread, function })
    } else {
        Err(mistakes.into_error())
    }
}

/// The names in quotes. A constant is checked when the test runs.
fn literals<'a>(
    primary: Option<&'a Primary>,
    replicas: &'a Replicas,
) -> impl Iterator<Item = &'a LitStr> {
    let primary = match primary {
        Some(Primary::Literal(region)) => Some(region),
        Some(Primary::Constant(_)) | None => None,
    };
    let replicas = match replicas {
        Replicas::Literals(regions) => &**regions,
        Replicas::Constant(_) => &[],
    };
    primary.into_iter().chain(replicas)
}

#[derive(Default)]
struct Mistakes(Vec<Error>);

impl Mistakes {
    fn add(&mut self, span: Span, message: impl std::fmt::Display) {
        self.0.push(Error::new(span, message));
    }

    fn only_once<T>(&mut self, slot: &mut Option<T>, span: Span, key: &str, value: T) {
        if slot.is_some() {
            self.add(span, format!("a second `{key}`; there can be only one"));
        }
        slot.get_or_insert(value);
    }

    /// Applies the rule of `lab/src/region.rs` here, where there is a token to point at.
    fn regions<'a>(&mut self, regions: impl Iterator<Item = &'a LitStr>) {
        let mut seen = HashSet::new();
        for region in regions {
            let name = region.value();
            if !is_region_code(&name) {
                self.add(
                    region.span(),
                    format!(
                        "`{name}` cannot name a region: begin with a lowercase letter, continue \
                         with lowercase letters and digits, separate words by a single `-` or \
                         `_`, and use at most {MAX_REGION_CODE_LEN} characters"
                    ),
                );
            } else if !seen.insert(name) {
                self.add(
                    region.span(),
                    format!("the region `{}` is listed twice; it has one server", region.value()),
                );
            }
        }
    }

    fn is_current_thread(&mut self, flavor: &LitStr) -> bool {
        let name = flavor.value();
        if !["multi_thread", "current_thread"].contains(&&*name) {
            self.add(
                flavor.span(),
                format!(
                    "`{name}` is no flavor of a runtime; write `multi_thread` or `current_thread`"
                ),
            );
        }
        name == "current_thread"
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
                "a generic test has no type to run for; write one without parameters",
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
            .unwrap_or_else(|| Error::new(Span::call_site(), "this test cannot run"))
    }
}
