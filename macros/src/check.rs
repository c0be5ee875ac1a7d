//! Refuses what cannot be built, each mistake at the token that is wrong, all of them at once.
//!
//! A person who edits regions.toml never sees these: `regions/` finds the same mistakes first, with the file's line.

use std::collections::HashMap;

use proc_macro2::Span;
use quote::format_ident;
use syn::{Error, Ident, LitInt, LitStr, Result};

use crate::parse::{Code, Nearest, Repo, Statement, Statements};

/// A call that can be built.
pub(crate) struct Declaration {
    pub(crate) source: Option<LitStr>,
    pub(crate) primary: Repo,
    pub(crate) replicas: Vec<Repo>,
    pub(crate) nearest: Vec<Nearest>,
    pub(crate) pool_size: Option<u32>,
    pub(crate) max_lag_ms: Option<u32>,
    pub(crate) max_spill: Option<u32>,
    pub(crate) writes: Option<Ident>,
}

pub(crate) fn check(Statements(statements): Statements) -> Result<Declaration> {
    let mut mistakes = Mistakes::default();
    let (mut source, mut pool_size, mut max_lag_ms, mut max_spill, mut writes) =
        (None, None, None, None, None);
    let (mut primary, mut replicas, mut nearest) = (None, Vec::new(), Vec::new());
    for statement in statements {
        match statement {
            Statement::Source(file) => mistakes.only_once(&mut source, file.span(), "source", file),
            Statement::PoolSize(size) => {
                mistakes.only_once(&mut pool_size, size.span(), "pool_size", size)
            }
            Statement::MaxLag(lag) => {
                mistakes.only_once(&mut max_lag_ms, lag.span(), "max_lag_ms", lag)
            }
            Statement::MaxSpill(reads) => {
                mistakes.only_once(&mut max_spill, reads.span(), "max_spill", reads)
            }
            Statement::Writes(mode) => mistakes.only_once(&mut writes, mode.span(), "writes", mode),
            Statement::Primary(repo) => {
                mistakes.only_once(&mut primary, repo.code.span, "primary", repo)
            }
            Statement::Replica(repo) => replicas.push(repo),
            Statement::Nearest(order) => nearest.push(order),
        }
    }
    let [pool_size, max_lag_ms, max_spill] =
        [pool_size, max_lag_ms, max_spill].map(|number| mistakes.number(number.as_ref()));
    if let Some(mode) = writes.as_ref().filter(|mode| *mode != "replay" && *mode != "direct") {
        mistakes.add(mode.span(), "writes are `replay` or `direct`");
    }
    mistakes.names(primary.iter().chain(&replicas).map(|repo: &Repo| &repo.code));
    mistakes.orders(&nearest, &replicas);
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
            pool_size,
            max_lag_ms,
            max_spill,
            writes,
        })
    } else {
        Err(mistakes.into_error())
    }
}

impl Code {
    /// The variant of `Region`, and the end of `Repo…`: `us-east-1` → `UsEast1`. `regions/` follows the same rule.
    pub(crate) fn camel(&self) -> Ident {
        let parts = self.text.split(['-', '_']);
        let camel: String = parts
            .flat_map(|part| {
                part[..1].to_ascii_uppercase().chars().chain(part[1..].chars()).collect::<Vec<_>>()
            })
            .collect();
        Ident::new(&camel, self.span)
    }

    /// The struct: `RepoUsEast1`.
    pub(crate) fn repo(&self) -> Ident {
        format_ident!("Repo{}", self.camel(), span = self.span)
    }

    /// The field and the method: `repo_us_east_1`.
    pub(crate) fn field(&self) -> Ident {
        format_ident!("repo_{}", self.text.replace('-', "_"), span = self.span)
    }

    /// `[a-z][a-z0-9]*([-_][a-z0-9]+)*`
    fn is_well_formed(&self) -> bool {
        let is_part = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        self.text.starts_with(|first: char| first.is_ascii_lowercase())
            && self.text.split(['-', '_']).all(is_part)
    }
}

#[derive(Default)]
struct Mistakes(Vec<Error>);

impl Mistakes {
    fn add(&mut self, span: Span, message: impl std::fmt::Display) {
        self.0.push(Error::new(span, message));
    }

    fn only_once<T>(&mut self, slot: &mut Option<T>, span: Span, statement: &str, value: T) {
        if slot.is_some() {
            self.add(span, format!("a second `{statement}`; there can be only one"));
        } else {
            *slot = Some(value);
        }
    }

    fn number(&mut self, literal: Option<&LitInt>) -> Option<u32> {
        literal?.base10_parse().map_err(|error| self.0.push(error)).ok()
    }

    fn names<'a>(&mut self, codes: impl Iterator<Item = &'a Code>) {
        let mut taken: HashMap<String, &str> = HashMap::new();
        for code in codes {
            let text = code.text.as_str();
            if !code.is_well_formed() {
                self.add(
                    code.span,
                    format!(
                        "`{text}` cannot be a region's code; write lower-case letters and digits, as in `ord` or \"us-east-1\""
                    ),
                );
            } else if text == "self" {
                self.add(
                    code.span,
                    "a region called `self` would be the Rust keyword `Self`; give it another code",
                );
            } else if let Some(first) = taken.insert(code.camel().to_string(), text) {
                let name = code.repo();
                let message = if first == text {
                    format!("region `{text}` is here twice")
                } else {
                    format!("regions `{first}` and `{text}` would both be `{name}`; rename one")
                };
                self.add(code.span, message);
            }
        }
    }

    fn orders(&mut self, nearest: &[Nearest], replicas: &[Repo]) {
        let mut places: Vec<&str> = Vec::new();
        for Nearest { place, order } in nearest {
            if places.contains(&place.text.as_str()) {
                self.add(place.span, format!("a second order for `{}`", place.text));
            }
            places.push(&place.text);
            for code in order {
                if !replicas.iter().any(|replica| replica.code.text == code.text) {
                    self.add(code.span, format!("`{}` is no replica of this call", code.text));
                }
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
            .unwrap_or_else(|| Error::new(Span::call_site(), "nothing can be built from this"))
    }
}
