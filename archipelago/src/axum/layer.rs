//! The tower layer that reads a visitor's positions from a request, and adds them to the answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{CACHE_CONTROL, COOKIE, HeaderName, HeaderValue};
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::repo_set::RepoSet;
use crate::visitor::{Keys, POSITION, Session, Signer, forwarded_scheme};

/// Gives the handlers of a router their [`Reader`](super::Reader) and [`Writer`](super::Writer). Adds
/// the headers `x-served-by` and `server-timing` to every answer that asked a database, and the
/// position that it showed, as a cookie and as a header. Such an answer is `cache-control: private,
/// no-cache`, unless the handler says otherwise. For `Router::layer`, which goes for the routes above
/// it.
///
/// A router with several sets of repos has a layer for each, with the same keys. The outermost one
/// reads and signs the positions for all of them: a visitor's positions are kept for each database
/// apart.
#[derive(Debug)]
pub struct VisitorLayer<R> {
    repos: Arc<R>,
    signer: Arc<Signer>,
}

/// A service inside of a [`VisitorLayer`].
#[derive(Debug)]
pub struct VisitorService<S, R> {
    inner: S,
    layer: VisitorLayer<R>,
}

impl<R: RepoSet> VisitorLayer<R> {
    /// A layer for these repos, with the keys that sign the visitors' positions.
    pub fn new(repos: Arc<R>, keys: impl Into<Keys>) -> Self {
        Self { repos, signer: Arc::new(Signer::new(keys)) }
    }
}

impl<R> Clone for VisitorLayer<R> {
    fn clone(&self) -> Self {
        Self { repos: self.repos.clone(), signer: self.signer.clone() }
    }
}

impl<S: Clone, R> Clone for VisitorService<S, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S, R> Layer<S> for VisitorLayer<R> {
    type Service = VisitorService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        VisitorService { inner, layer: self.clone() }
    }
}

impl<S, R, B, A> Service<Request<B>> for VisitorService<S, R>
where
    S: Service<Request<B>, Response = Response<A>, Future: Send + 'static>,
    R: RepoSet + 'static,
{
    type Response = Response<A>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<A>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        request.extensions_mut().insert(self.layer.repos.clone());
        if request.extensions().get::<Session>().is_some() {
            // The layer of another set of repos is around this one.
            return Box::pin(self.inner.call(request));
        }
        let (signer, headers) = (self.layer.signer.clone(), request.headers());
        let session = signer.session(headers.get_all(COOKIE), headers.get_all(POSITION));
        let is_secure = is_secure(&request);
        request.extensions_mut().insert(session.clone());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            let says_of_caches = response.headers().contains_key(CACHE_CONTROL);
            for (name, value) in signer.answer_headers(&session, is_secure) {
                let name = HeaderName::from_static(name);
                if let Ok(value) = HeaderValue::try_from(value)
                    && !(says_of_caches && name == CACHE_CONTROL)
                {
                    response.headers_mut().append(name, value);
                }
            }
            response.extensions_mut().insert(session);
            Ok(response)
        })
    }
}

/// Whether the visitor came over TLS.
fn is_secure<B>(request: &Request<B>) -> bool {
    let value = |name: &str| request.headers().get(name)?.to_str().ok();
    let scheme = forwarded_scheme(value).or(request.uri().scheme_str());
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}
