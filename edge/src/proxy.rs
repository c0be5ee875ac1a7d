//! The steps of one request: find the visitor's place, choose the candidates, send the request to
//! one of them, follow its `fly-replay`, log.

mod action;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, HOST, HeaderValue, LOCATION, SET_COOKIE};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode, Uri};

use self::action::{Action, is_navigation};
use crate::access_log::{AccessLog, Hops, Visit};
use crate::error::ProxyError;
use crate::headers::{X_EDGE, X_SERVED_BY, forwarded, hop_by_hop};
use crate::pages;
use crate::replay;
use crate::router::Router;
use crate::tool::Tool;
use crate::upstream::body::RequestBody;
use crate::upstream::pools::Pools;
use crate::upstream::{Timeouts, UpstreamRequest};
use crate::visitor::{PlaceSource, VisitorPlace, cookie, from_parameter};

/// How long a connection to an instance may take. A local one takes microseconds: the link's local
/// end accepts at once, so its distance does not count.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The streaming body of an instance's response, or the edge's own body.
type Body = Either<Incoming, Full<Bytes>>;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) router: Router,
    pub(crate) pools: Pools,
    pub(crate) log: Arc<AccessLog>,
    pub(crate) tool: Option<Tool>,
    pub(crate) response_timeout: Duration,
    /// The address on which the edge listens.
    pub(crate) address: SocketAddr,
}

impl Proxy {
    /// The response for the visitor: an instance's, or the edge's own.
    pub(crate) async fn respond(
        &self,
        visitor: IpAddr,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let began = Instant::now();
        let (parts, body) = request.into_parts();
        let (method, uri, is_navigation) =
            (parts.method.clone(), parts.uri.clone(), is_navigation(&parts));
        let mut hops = Hops::default();
        let response = self.try_respond(visitor, parts, body, &mut hops).await;
        let mut response = response.unwrap_or_else(|error| {
            pages::error(&self.router, &error, &uri, is_navigation).map(Either::Right)
        });
        if hops.place.is_some() {
            let elapsed = began.elapsed();
            if let Ok(value) = HeaderValue::from_str(&hops.header(elapsed)) {
                response.headers_mut().insert(X_EDGE, value);
            }
            let (path, status) = (uri.path().to_owned(), response.status());
            let served_by = response.headers().get(X_SERVED_BY);
            let served_by = served_by.and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
            self.log.record(Visit { number: 0, method, path, status, hops, served_by, elapsed });
        }
        response
    }

    async fn try_respond(
        &self,
        visitor: IpAddr,
        parts: Parts,
        body: Incoming,
        hops: &mut Hops,
    ) -> Result<Response<Body>, ProxyError> {
        action::check_protocol(&parts)?;
        if let Some(tool) = self.tool.as_ref().filter(|tool| tool.answers(&parts.uri)) {
            return Ok(tool.ask(parts, body).await.map_err(ProxyError::Tool)?.map(Either::Left));
        }
        let visitor_place = VisitorPlace::of(&parts, &self.router.places)?;
        let place = visitor_place.place.as_str();
        match Action::of(&parts, visitor_place.source)? {
            Action::SetPlace => {
                // The next request comes from there, so connections are opened now.
                self.pools.of_place(place)?;
                Ok(set_place(place, from_parameter::remove(&parts.uri))?.map(Either::Right))
            }
            Action::ShowStatus => {
                Ok(pages::status(&self.router, &self.log, &visitor_place).map(Either::Right))
            }
            Action::AskForPlace => {
                Ok(pages::choose_place(&self.router, &parts.uri).map(Either::Right))
            }
            Action::Forward => {
                hops.place = Some(place.to_owned());
                let response = self.forward(visitor, &visitor_place, parts, body, hops).await?;
                Ok(response.map(Either::Left))
            }
        }
    }

    async fn forward(
        &self,
        visitor: IpAddr,
        visitor_place: &VisitorPlace,
        mut parts: Parts,
        body: Incoming,
        hops: &mut Hops,
    ) -> Result<Response<Incoming>, ProxyError> {
        let place = visitor_place.place.as_str();
        let wanted = visitor_place.wanted_regions(&parts)?;
        let candidates = self.router.candidates(place, &wanted)?;
        self.rewrite(&mut parts, visitor, place)?;
        let pools = self.pools.of_place(place)?;
        let request = UpstreamRequest { pools: &pools, parts, body: RequestBody::new(body) };
        let timeouts = Timeouts { connect: CONNECT_TIMEOUT, response: self.response_timeout };
        let (region, response) = request.send_to_first_of(&candidates, timeouts).await?;
        hops.instance = Some(region.clone());
        let mut response =
            replay::follow(response, &region, request, &self.router, timeouts, hops).await?;
        hop_by_hop::remove(response.headers_mut());
        if visitor_place.source == PlaceSource::FromParameter {
            response.headers_mut().append(SET_COOKIE, cookie::set(place)?);
        }
        Ok(response)
    }

    /// Rewrites the visitor's request into the one that an instance gets.
    fn rewrite(&self, parts: &mut Parts, visitor: IpAddr, place: &str) -> Result<(), ProxyError> {
        // A host in the URL wins over the header (RFC 9112, section 3.2.2). HTTP/1.0 may have none.
        let in_url = parts.uri.authority().map(ToString::to_string);
        let missing = || (!parts.headers.contains_key(HOST)).then(|| self.address.to_string());
        if let Some(host) = in_url.or_else(missing) {
            let host = HeaderValue::from_str(&host).map_err(hyper::http::Error::from)?;
            parts.headers.insert(HOST, host);
        }
        let target = from_parameter::remove(&parts.uri);
        parts.uri = target.parse::<Uri>().map_err(hyper::http::Error::from)?;
        parts.version = hyper::Version::HTTP_11;
        hop_by_hop::remove(&mut parts.headers);
        cookie::remove(&mut parts.headers);
        forwarded::set(&mut parts.headers, visitor, place)?;
        Ok(())
    }
}

/// Redirects the visitor to `path`, with the cookie that keeps `place`.
fn set_place(place: &str, path: String) -> Result<Response<Full<Bytes>>, ProxyError> {
    if !from_parameter::is_on_site(&path) {
        return Err(ProxyError::OffSiteRedirect { path });
    }
    let response = Response::builder()
        .status(StatusCode::SEE_OTHER)
        .header(LOCATION, path)
        .header(SET_COOKIE, cookie::set(place)?)
        .header(CACHE_CONTROL, "no-store");
    Ok(response.body(Full::default())?)
}
