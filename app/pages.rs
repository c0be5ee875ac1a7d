//! The handlers, one file for each subject. They read with `reads`, write with `writes`, and show
//! the result with `views`.

pub(crate) mod assets;
pub(crate) mod error_pages;
pub(crate) mod health;
pub(crate) mod home;
mod notice;
pub(crate) mod regions;
pub(crate) mod users;

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use actix_web::web::{BytesMut, Data};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use archipelago::actix::{is_secure, session_of};
use archipelago::visitor::Session;
use askama::Template;

use self::notice::Notice;
use crate::failure::Failure;
use crate::repos::Repos;
use crate::views::{DatabaseTiming, Layout};

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

thread_local! {
    /// Each worker renders all its pages into one buffer: by the time of the next page, HTTP/1 has
    /// copied the last one out. If not, `BytesMut` allocates a new buffer by itself.
    static BUFFER: RefCell<BytesMut> = RefCell::default();
}

/// A handler's argument that renders its page: it takes from the request what the layout shows.
pub(crate) struct PageContext {
    repos: Option<Data<Repos>>,
    notice: Option<Notice>,
    is_secure: bool,
    session: Session,
}

impl PageContext {
    fn new(request: &HttpRequest) -> Self {
        Self {
            repos: request.app_data::<Data<Repos>>().cloned(),
            notice: Notice::from_request(request),
            is_secure: is_secure(request),
            session: session_of(request),
        }
    }

    /// What the layout shows. Call it after the queries: it names the database that served them.
    fn layout(&self) -> Layout<'_> {
        let database = self.session.served().map(|(served_by, elapsed)| DatabaseTiming {
            served_by,
            milliseconds: elapsed.as_secs_f64() * 1000.0,
        });
        Layout {
            flash: self.notice.map(Notice::text),
            database,
            instance: self.repos.as_ref().map_or("", |repos| repos.region()),
        }
    }

    /// Renders a page. No cache may keep it: it holds for this moment and this visitor. Removes the
    /// notice that it shows.
    fn render(&self, status: StatusCode, page: &impl Template) -> Result<HttpResponse, Failure> {
        let mut response = HttpResponse::build(status);
        response.insert_header((CONTENT_TYPE, HTML)).insert_header((CACHE_CONTROL, NO_STORE));
        if self.notice.is_some() {
            response.cookie(Notice::removal_cookie(self.is_secure));
        }
        let html = BUFFER.with_borrow_mut(|buffer| {
            buffer.clear();
            page.render_into(buffer).map(|()| buffer.split().freeze())
        })?;
        Ok(response.body(html))
    }

    /// See Other: the browser requests the next page with a GET, and that page shows the notice.
    fn redirect(&self, location: String, notice: Notice) -> HttpResponse {
        let mut response = HttpResponse::SeeOther();
        response.insert_header((LOCATION, location)).cookie(notice.cookie(self.is_secure)).finish()
    }
}

impl FromRequest for PageContext {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::new(request)))
    }
}
