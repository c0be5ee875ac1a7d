//! Refuses what cannot be generated: every mistake at once, each at its own token.
//!
//! Codes are checked only for the Rust names that they give. The grammar of region codes is that of
//! regions.toml, whose own check (`regions/src/region_code.rs`) runs before the macro.

use std::collections::HashMap;

use proc_macro2::Span;
use quote::format_ident;
use syn::{Error, Ident, LitBool, LitInt, LitStr, Result};

use crate::parse::{Code, Coordinates, Nearest, Repo, Statement, Statements};

/// A call without mistakes.
pub(crate) struct Declaration {
    pub(crate) source: Option<LitStr>,
    pub(crate) primary: Repo,
    pub(crate) replicas: Vec<Repo>,
    pub(crate) nearest: Vec<Nearest>,
    pub(crate) coordinates: Vec<Coordinates>,
    pub(crate) pool_size: Option<u32>,
    pub(crate) max_lag_ms: Option<u32>,
    pub(crate) max_spill: Option<u32>,
    pub(crate) writes: Option<Ident>,
    pub(crate) follow_promotions: Option<LitBool>,
}

pub(crate) fn check(Statements(statements): Statements) -> Result<Declaration> {
    let mut mistakes = Mistakes::default();
    let (mut source, mut pool_size, mut max_lag_ms, mut max_spill, mut writes) =
        (None, None, None, None, None);
    let mut follow_promotions = None;
    let (mut primary, mut replicas) = (None, Vec::new());
    let (mut nearest, mut coordinates) = (Vec::new(), Vec::new());
    for statement in statements {
        match statement {
            Statement::Source(file) => mistakes.set_once(&mut source, file.span(), "source", file),
            Statement::PoolSize(size) => {
                mistakes.set_once(&mut pool_size, size.span(), "pool_size", size);
            }
            Statement::MaxLag(lag) => {
                mistakes.set_once(&mut max_lag_ms, lag.span(), "max_lag_ms", lag);
            }
            Statement::MaxSpill(reads) => {
                mistakes.set_once(&mut max_spill, reads.span(), "max_spill", reads);
            }
            Statement::Writes(mode) => mistakes.set_once(&mut writes, mode.span(), "writes", mode),
            Statement::FollowPromotions(choice) => {
                mistakes.set_once(
                    &mut follow_promotions,
                    choice.span(),
                    "follow_promotions",
                    choice,
                );
            }
            Statement::Primary(repo) => {
                mistakes.set_once(&mut primary, repo.code.span, "primary", repo);
            }
            Statement::Replica(repo) => replicas.push(repo),
            Statement::Nearest(order) => nearest.push(order),
            Statement::Coordinates(place) => coordinates.push(place),
        }
    }
    let [pool_size, max_lag_ms, max_spill] =
        [pool_size, max_lag_ms, max_spill].map(|number| mistakes.number(number.as_ref()));
    if let Some(mode) = writes.as_ref().filter(|mode| *mode != "replay" && *mode != "direct") {
        mistakes.add(mode.span(), "write `writes replay` or `writes direct`");
    }
    mistakes.names(primary.iter().chain(&replicas).map(|repo: &Repo| &repo.code));
    mistakes.orders(&nearest, &replicas);
    mistakes.servers(primary.as_ref(), &replicas);
    let Some(primary) = primary else {
        mistakes.add(Span::call_site(), "there is no primary; write `primary CODE;`");
        return Err(mistakes.into_error());
    };
    if mistakes.0.is_empty() {
        Ok(Declaration {
            source,
            primary,
            replicas,
            nearest,
            coordinates,
            pool_size,
            max_lag_ms,
            max_spill,
            writes,
            follow_promotions,
        })
    } else {
        Err(mistakes.into_error())
    }
}

impl Code {
    /// The variant of `Region`, and the end of `Repo…`: `us-east-1` is `UsEast1`.
    pub(crate) fn variant(&self) -> Ident {
        Ident::new(&self.upper_camel_case(), self.span)
    }

    /// The struct: `RepoUsEast1`.
    pub(crate) fn repo(&self) -> Ident {
        format_ident!("Repo{}", self.variant(), span = self.span)
    }

    /// The field and the method: `repo_us_east_1`.
    pub(crate) fn field(&self) -> Ident {
        Ident::new(&self.snake_case(), self.span)
    }

    /// `regions/src/region_code.rs` names regions by the same rule.
    fn upper_camel_case(&self) -> String {
        let mut name = String::new();
        for word in self.text.split(['-', '_']) {
            let mut letters = word.chars();
            name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            name.push_str(letters.as_str());
        }
        name
    }

    fn snake_case(&self) -> String {
        format!("repo_{}", self.text.replace('-', "_"))
    }

    /// Whether rustc accepts both names, without a warning about their case.
    fn gives_rust_names(&self) -> bool {
        // The parser skips spaces and comments, so that ` ord` parses as `ord`.
        let is_identifier =
            |name: &str| syn::parse_str::<Ident>(name).is_ok_and(|ident| ident == name);
        let (variant, field) = (self.upper_camel_case(), self.snake_case());
        let is_snake_case = !field.contains(char::is_uppercase) && !field.contains("__");
        is_identifier(&variant) && is_identifier(&field) && is_snake_case
    }
}

#[derive(Default)]
struct Mistakes(Vec<Error>);

impl Mistakes {
    fn add(&mut self, span: Span, message: impl std::fmt::Display) {
        self.0.push(Error::new(span, message));
    }

    fn set_once<T>(&mut self, slot: &mut Option<T>, span: Span, statement: &str, value: T) {
        if slot.is_some() {
            self.add(span, format!("a second `{statement}`; there can be only one"));
        } else {
            *slot = Some(value);
        }
    }

    fn number(&mut self, literal: Option<&LitInt>) -> Option<u32> {
        literal?.base10_parse().map_err(|error| self.0.push(error)).ok()
    }

    /// Checks that each code gives valid Rust names, and no two codes the same ones.
    fn names<'a>(&mut self, codes: impl Iterator<Item = &'a Code>) {
        let mut firsts: HashMap<String, &str> = HashMap::new();
        for code in codes {
            let (text, variant) = (code.text.as_str(), code.upper_camel_case());
            if variant == "Self" {
                let message =
                    "a region called `self` would be the Rust keyword `Self`; give it another code";
                self.add(code.span, message);
            } else if !code.gives_rust_names() {
                let message = format!(
                    "`{text}` cannot be a region's code; write lower-case letters and digits, as \
                     in `ord` or \"us-east-1\""
                );
                self.add(code.span, message);
            } else if let Some(first) = firsts.insert(variant, text) {
                let name = code.repo();
                let message = if first == text {
                    format!("region `{text}` is declared twice")
                } else {
                    format!("regions `{first}` and `{text}` would both be `{name}`; rename one")
                };
                self.add(code.span, message);
            }
        }
    }

    /// Checks that each place has one order, of declared replicas.
    fn orders(&mut self, nearest: &[Nearest], replicas: &[Repo]) {
        let mut places: Vec<&str> = Vec::new();
        for Nearest { place, order } in nearest {
            if places.contains(&place.text.as_str()) {
                self.add(
                    place.span,
                    format!("a second `nearest` for `{}`; there can be only one", place.text),
                );
            }
            places.push(&place.text);
            for code in order {
                if !replicas.iter().any(|replica| replica.code.text == code.text) {
                    self.add(code.span, format!("`{}` is not a replica of this call", code.text));
                }
            }
        }
    }

    /// Checks that each further server belongs to a replica before it.
    fn servers(&mut self, primary: Option<&Repo>, replicas: &[Repo]) {
        if let Some(region) = primary.and_then(|primary| primary.region.as_ref()) {
            self.add(region.span, "the primary is the only server of its region");
        }
        for (index, replica) in replicas.iter().enumerate() {
            let Some(region) = &replica.region else { continue };
            let is_first = |it: &Repo| it.region.is_none() && it.code.text == region.text;
            if !replicas[..index].iter().any(is_first) {
                let message = if primary.is_some_and(|it| it.code.text == region.text) {
                    "the primary is the only server of its region".to_owned()
                } else {
                    format!("declare `replica {}` first", region.text)
                };
                self.add(region.span, message);
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
            .unwrap_or_else(|| Error::new(Span::call_site(), "this call cannot be expanded"))
    }
}
