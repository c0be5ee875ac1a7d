//! What the edge does with a request, from the visitor to the answer.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CACHE_CONTROL, HOST, HeaderValue, LOCATION, SET_COOKIE};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Uri};

use crate::delivery::{Delivery, Patience};
use crate::headers::{self, FLY_FORCE_REGION, X_EDGE};
use crate::journal::{Entry, Journal, Trace};
use crate::map::Map;
use crate::pages;
use crate::refusal::Refusal;
use crate::standing::{SaidBy, Standing};
use crate::upload::Upload;
use crate::{PATH, cookie, from, visit::visit};

/// For a connection to an instance, which takes microseconds: the line behind the door is not waited for.
const REACH: Duration = Duration::from_secs(5);

/// An instance's answer as it streams, or the edge's own.
pub(crate) type Body = Either<Incoming, Full<Bytes>>;

/// Everything that requests share.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) map: Map,
    pub(crate) journal: Journal,
    pub(crate) answer_within: Duration,
    /// Where the edge listens.
    pub(crate) address: SocketAddr,
}

impl Proxy {
    /// Always an answer: an instance's, or one that says why there is none.
    pub(crate) async fn answer(
        &self,
        visitor: IpAddr,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let began = Instant::now();
        let (parts, body) = request.into_parts();
        let (method, uri, is_reader) = (parts.method.clone(), parts.uri.clone(), is_reader(&parts));
        let mut trace = Trace::default();
        let answered = self.pass(visitor, parts, body, &mut trace).await;
        let mut response =
            answered.unwrap_or_else(|refusal| pages::refusal(self, &refusal, &uri, is_reader));
        if trace.place.is_some() {
            let took = began.elapsed();
            if let Ok(done) = HeaderValue::from_str(&trace.header(took)) {
                response.headers_mut().insert(X_EDGE, done);
            }
            let (path, status) = (uri.path().to_owned(), response.status());
            self.journal.write(Entry { method, path, status, trace, took });
        }
        response
    }

    async fn pass(
        &self,
        visitor: IpAddr,
        mut parts: Parts,
        body: Incoming,
        trace: &mut Trace,
    ) -> Result<Response<Body>, Refusal> {
        if parts.method == Method::CONNECT {
            return Err(Refusal::Connect);
        }
        if headers::asks_for_websocket(&parts.headers) {
            return Err(Refusal::Websocket);
        }
        let standing = Standing::of(&parts, &self.map)?;
        let only_looks = matches!(parts.method, Method::GET | Method::HEAD);
        if standing.said_by == SaidBy::Link && only_looks {
            self.map.stand(&standing.place)?;
            return remembered(&standing.place, from::without(&parts.uri));
        }
        if parts.uri.path() == PATH {
            return if only_looks {
                Ok(pages::status(self, &standing))
            } else {
                Err(Refusal::ReadOnly)
            };
        }
        if standing.said_by == SaidBy::Nobody
            && is_reader(&parts)
            && !parts.headers.contains_key(FLY_FORCE_REGION)
        {
            return Ok(pages::question(self, &parts.uri));
        }
        trace.place = Some(standing.place.clone());
        let regions = standing.regions(&parts, &self.map)?;
        self.prepare(&mut parts, visitor, &standing)?;
        let stand = self.map.stand(&standing.place)?;
        let delivery = Delivery {
            map: &self.map,
            place: &standing.place,
            stand: &stand,
            parts,
            upload: Upload::new(body),
        };
        let patience = Patience { reach: REACH, answer: self.answer_within };
        let mut response = visit(delivery, &regions, patience, trace).await?.map(Either::Left);
        headers::remove_hop_by_hop(response.headers_mut());
        if standing.said_by == SaidBy::Link {
            response.headers_mut().append(SET_COOKIE, cookie::remembering(&standing.place)?);
        }
        Ok(response)
    }

    /// Makes of the visitor's request the one that an instance gets.
    fn prepare(
        &self,
        parts: &mut Parts,
        visitor: IpAddr,
        standing: &Standing,
    ) -> Result<(), Refusal> {
        // A request that names its host in the URL means that one (RFC 9112, section 3.2.2); HTTP/1.0 may name none.
        let named = parts.uri.authority().map(ToString::to_string);
        if let Some(host) =
            named.or_else(|| (!parts.headers.contains_key(HOST)).then(|| self.address.to_string()))
        {
            parts
                .headers
                .insert(HOST, HeaderValue::from_str(&host).map_err(hyper::http::Error::from)?);
        }
        parts.uri = from::without(&parts.uri).parse::<Uri>().map_err(hyper::http::Error::from)?;
        parts.version = hyper::Version::HTTP_11;
        headers::remove_hop_by_hop(&mut parts.headers);
        cookie::remove(&mut parts.headers);
        headers::tell(&mut parts.headers, visitor, &standing.place)?;
        Ok(())
    }
}

/// Whether a person looks at the answer: a browser that opens a page.
fn is_reader(parts: &Parts) -> bool {
    let takes_pages = parts
        .headers
        .get_all(ACCEPT)
        .iter()
        .any(|value| value.to_str().is_ok_and(|value| value.contains("text/html")));
    let opens_a_page = parts.headers.get("sec-fetch-mode").is_none_or(|mode| mode == "navigate");
    parts.method == Method::GET && takes_pages && opens_a_page
}

/// Sends the visitor to the same page without `from`, with the cookie that says the same.
fn remembered(place: &str, path: String) -> Result<Response<Body>, Refusal> {
    if !from::stays_here(&path) {
        return Err(Refusal::OffSite { path });
    }
    let response = Response::builder()
        .status(StatusCode::SEE_OTHER)
        .header(LOCATION, path)
        .header(SET_COOKIE, cookie::remembering(place)?)
        .header(CACHE_CONTROL, "no-store");
    Ok(response.body(Either::Right(Full::default()))?)
}
