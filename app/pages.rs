//! The handlers: one file for each subject. They read with `reads`, write with `writes`, and show with `views`.

pub mod failure;
pub mod health;
pub mod home;
pub mod regions;
pub mod style;
pub mod users;

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use actix_web::web::{BytesMut, Data};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use archipelago::actix::RequestSession;
use askama::Template;

use crate::failure::Failure;
use crate::notice::Notice;
use crate::repos::Repos;
use crate::views::{Frame, Served};

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

thread_local! {
    /// A worker writes its pages into the same memory, one after another: HTTP/1 has copied the last one by then. Where it has not
    /// been sent yet, the next one gets memory of its own.
    static PAGE: RefCell<BytesMut> = RefCell::default();
}

/// What the frame of a page tells its visitor, collected from the request.
pub struct Visit {
    repos: Option<Data<Repos>>,
    notice: Option<Notice>,
    session: RequestSession,
}

impl Visit {
    /// Of `request`.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Self {
        Self {
            repos: request.app_data::<Data<Repos>>().cloned(),
            notice: Notice::of(request),
            session: RequestSession::of(request),
        }
    }

    /// The frame, as of now: who served the queries that were made.
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        let served = self
            .session
            .served()
            .map(|(by, elapsed)| Served { by, milliseconds: elapsed.as_secs_f64() * 1000.0 });
        Frame {
            flash: self.notice.map(Notice::text),
            served,
            instance: self.repos.as_ref().map_or("", |repos| repos.region()),
        }
    }

    /// A page, not to be kept by a cache: it is of this moment and for this visitor. The notice is shown, and so is over.
    ///
    /// # Errors
    /// When the page cannot be rendered.
    pub fn page(&self, status: StatusCode, page: &impl Template) -> Result<HttpResponse, Failure> {
        let mut response = HttpResponse::build(status);
        response.insert_header((CONTENT_TYPE, HTML)).insert_header((CACHE_CONTROL, NO_STORE));
        if self.notice.is_some() {
            response.cookie(Notice::removal());
        }
        let text = PAGE.with_borrow_mut(|text| {
            text.clear();
            page.render_into(text).map(|()| text.split().freeze())
        })?;
        Ok(response.body(text))
    }
}

impl FromRequest for Visit {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request)))
    }
}
