//! The grammar of the attribute's arguments.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, LitStr, Result, Token, bracketed, token};

/// `primary = "home", replicas = ["near", "far"], own_servers`
pub(crate) struct Arguments(pub(crate) Vec<Argument>);

pub(crate) enum Argument {
    Primary(Span, LitStr),
    Replicas(Span, Vec<LitStr>),
    OwnServers(Span),
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
                Ok(Self::Replicas(key.span(), list(input)?))
            }
            "own_servers" => Ok(Self::OwnServers(key.span())),
            other => Err(Error::new(
                key.span(),
                format!(
                    "the attribute has no key `{other}`; it may have `primary`, `replicas` and `own_servers`"
                ),
            )),
        }
    }
}

fn list(input: ParseStream) -> Result<Vec<LitStr>> {
    if !input.peek(token::Bracket) {
        return Err(input.error("the replicas are a list, as in `replicas = [\"near\", \"far\"]`"));
    }
    let regions;
    bracketed!(regions in input);
    Ok(Punctuated::<LitStr, Token![,]>::parse_terminated(&regions)?.into_iter().collect())
}
