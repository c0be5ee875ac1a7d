//! The grammar of `repos! { … }`: statements with semicolons. `regions/src/render.rs` writes it.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, LitBool, LitFloat, LitInt, LitStr, Result, Token, braced};

/// The statements of one call.
pub(crate) struct Statements(pub(crate) Vec<Statement>);

pub(crate) enum Statement {
    /// `source "regions.toml"`: the file that `line` refers to.
    Source(LitStr),
    Primary(Repo),
    Replica(Repo),
    Nearest(Nearest),
    Coordinates(Coordinates),
    PoolSize(LitInt),
    MaxLag(LitInt),
    MaxSpill(LitInt),
    Writes(Ident),
    FollowPromotions(LitBool),
}

/// `ord { line: 2, place: "Chicago", url_env: "ORD_URL" }`; `"ord-2" { region: ord }` is another
/// server there.
pub(crate) struct Repo {
    pub(crate) code: Code,
    pub(crate) region: Option<Code>,
    pub(crate) line: Option<LitInt>,
    pub(crate) place: Option<LitStr>,
    pub(crate) url_env: Option<LitStr>,
}

/// `nearest fra: ams, ord`: the replicas, nearest first, as seen from a place. Without replicas,
/// `nearest fra:` makes the place known.
pub(crate) struct Nearest {
    pub(crate) place: Code,
    pub(crate) order: Vec<Code>,
}

/// `coordinates jnb: -26.1392, 28.246`: where a place is, in degrees north and east.
pub(crate) struct Coordinates {
    pub(crate) place: Code,
    pub(crate) latitude: Degrees,
    pub(crate) longitude: Degrees,
}

pub(crate) struct Degrees {
    minus: Option<Token![-]>,
    number: LitFloat,
}

/// The code of a region or place, and its span.
#[derive(Clone)]
pub(crate) struct Code {
    pub(crate) text: String,
    pub(crate) span: Span,
}

impl Parse for Statements {
    fn parse(input: ParseStream) -> Result<Self> {
        let statements = Punctuated::<Statement, Token![;]>::parse_terminated(input)?;
        Ok(Self(statements.into_iter().collect()))
    }
}

impl Parse for Statement {
    fn parse(input: ParseStream) -> Result<Self> {
        let keyword = input.call(Ident::parse_any)?;
        Ok(match keyword.to_string().as_str() {
            "source" => Self::Source(input.parse()?),
            "primary" => Self::Primary(input.parse()?),
            "replica" => Self::Replica(input.parse()?),
            "nearest" => Self::Nearest(input.parse()?),
            "coordinates" => Self::Coordinates(input.parse()?),
            "pool_size" => Self::PoolSize(input.parse()?),
            "max_lag_ms" => Self::MaxLag(input.parse()?),
            "max_spill" => Self::MaxSpill(input.parse()?),
            "writes" => Self::Writes(input.parse()?),
            "follow_promotions" => Self::FollowPromotions(input.parse()?),
            other => {
                return Err(Error::new(
                    keyword.span(),
                    format!(
                        "`{other}` is not a statement; write `primary CODE;` or `replica CODE;`"
                    ),
                ));
            }
        })
    }
}

impl Parse for Repo {
    fn parse(input: ParseStream) -> Result<Self> {
        let code = input.parse()?;
        let mut repo = Self { code, region: None, line: None, place: None, url_env: None };
        if !input.peek(syn::token::Brace) {
            return Ok(repo);
        }
        let options;
        braced!(options in input);
        while !options.is_empty() {
            let option: Ident = options.parse()?;
            options.parse::<Token![:]>()?;
            match option.to_string().as_str() {
                "region" => repo.region = Some(options.parse()?),
                "line" => repo.line = Some(options.parse()?),
                "place" => repo.place = Some(options.parse()?),
                "url_env" => repo.url_env = Some(options.parse()?),
                other => {
                    return Err(Error::new(
                        option.span(),
                        format!(
                            "a region has no option `{other}`; write `region`, `line`, `place` or \
                             `url_env`"
                        ),
                    ));
                }
            }
            if !options.is_empty() {
                options.parse::<Token![,]>()?;
            }
        }
        Ok(repo)
    }
}

impl Parse for Nearest {
    fn parse(input: ParseStream) -> Result<Self> {
        let place = input.parse()?;
        input.parse::<Token![:]>()?;
        let has_replicas = !input.is_empty() && !input.peek(Token![;]);
        let order =
            has_replicas.then(|| Punctuated::<_, Token![,]>::parse_separated_nonempty(input));
        Ok(Self { place, order: order.transpose()?.into_iter().flatten().collect() })
    }
}

impl Parse for Coordinates {
    fn parse(input: ParseStream) -> Result<Self> {
        let place = input.parse()?;
        input.parse::<Token![:]>()?;
        let latitude = input.parse()?;
        input.parse::<Token![,]>()?;
        Ok(Self { place, latitude, longitude: input.parse()? })
    }
}

impl Parse for Degrees {
    fn parse(input: ParseStream) -> Result<Self> {
        Ok(Self { minus: input.parse()?, number: input.parse()? })
    }
}

impl ToTokens for Degrees {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.minus.to_tokens(tokens);
        self.number.to_tokens(tokens);
    }
}

impl Parse for Code {
    fn parse(input: ParseStream) -> Result<Self> {
        if input.peek(LitStr) {
            let literal: LitStr = input.parse()?;
            return Ok(Self { text: literal.value(), span: literal.span() });
        }
        if !input.peek(Ident::peek_any) {
            return Err(input.error("expected a region's code, such as `ord` or \"us-east-1\""));
        }
        let ident = input.call(Ident::parse_any)?;
        Ok(Self { text: ident.unraw().to_string(), span: ident.span() })
    }
}
