//! The grammar of the attribute's arguments.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, LitStr, Path, Result, Token, bracketed, token};

/// `primary = "home", replicas = ["near", "far"], own_servers, flavor = "current_thread"`
pub(crate) struct Arguments(pub(crate) Vec<Argument>);

pub(crate) enum Argument {
    Primary(Span, Primary),
    Replicas(Span, Replicas),
    OwnServers(Span),
    Flavor(Span, LitStr),
}

/// The region of the primary.
pub(crate) enum Primary {
    Literal(LitStr),
    Constant(Path),
}

/// The regions of the replicas.
pub(crate) enum Replicas {
    Literals(Vec<LitStr>),
    Constant(Path),
}

impl Parse for Arguments {
    fn parse(input: ParseStream) -> Result<Self> {
        let arguments = Punctuated::<Argument, Token![,]>::parse_terminated(input)?;
        Ok(Self(arguments.into_iter().collect()))
    }
}

impl Parse for Argument {
    fn parse(input: ParseStream) -> Result<Self> {
        let key = input.call(Ident::parse_any)?;
        match key.to_string().as_str() {
            "primary" => {
                input.parse::<Token![=]>()?;
                Ok(Self::Primary(key.span(), input.parse()?))
            }
            "replicas" => {
                input.parse::<Token![=]>()?;
                Ok(Self::Replicas(key.span(), input.parse()?))
            }
            "own_servers" => Ok(Self::OwnServers(key.span())),
            "flavor" => {
                input.parse::<Token![=]>()?;
                Ok(Self::Flavor(key.span(), input.parse()?))
            }
            other => Err(Error::new(
                key.span(),
                format!(
                    "the attribute has no key `{other}`; it may have `primary`, `replicas`, `own_servers` and `flavor`"
                ),
            )),
        }
    }
}

impl Parse for Primary {
    fn parse(input: ParseStream) -> Result<Self> {
        match constant(input)? {
            Some(constant) => Ok(Self::Constant(constant)),
            None => input.parse().map(Self::Literal),
        }
    }
}

impl Parse for Replicas {
    fn parse(input: ParseStream) -> Result<Self> {
        if let Some(constant) = constant(input)? {
            return Ok(Self::Constant(constant));
        }
        if !input.peek(token::Bracket) {
            return Err(
                input.error("the replicas are a list, as in `replicas = [\"near\", \"far\"]`")
            );
        }
        let regions;
        bracketed!(regions in input);
        let regions = Punctuated::<LitStr, Token![,]>::parse_terminated(&regions)?;
        Ok(Self::Literals(regions.into_iter().collect()))
    }
}

/// The path of a constant. A lowercase name is taken for a region whose quotes were forgotten.
fn constant(input: ParseStream) -> Result<Option<Path>> {
    let Ok(path) = input.fork().call(Path::parse_mod_style) else { return Ok(None) };
    let name = path.segments.last().map(|last| last.ident.unraw().to_string());
    if name.is_none_or(|name| name.starts_with(|first: char| first.is_lowercase())) {
        return Ok(None);
    }
    input.call(Path::parse_mod_style).map(Some)
}

impl ToTokens for Primary {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Literal(region) => region.to_tokens(tokens),
            Self::Constant(constant) => constant.to_tokens(tokens),
        }
    }
}

impl ToTokens for Replicas {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Literals(regions) => tokens.extend(quote::quote!(&[#(#regions),*])),
            Self::Constant(constant) => constant.to_tokens(tokens),
        }
    }
}
