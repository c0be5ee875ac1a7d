//! `Reader` and `Writer` out of an Actix request.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, Version};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};

use super::session::{registered, visitors_session};
use crate::handler::{Reader, Writer};
use crate::repo_set::RepoSet;
use crate::visitor::{Replay, WriteRequest};

impl<R: RepoSet> FromRequest for Reader<R> {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(registered(request).map(|repos| Self::new(repos, visitors_session(request))))
    }
}

impl<R: RepoSet> FromRequest for Writer<R> {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(registered(request).and_then(|repos| {
            let value = |name: &str| request.headers().get(name)?.to_str().ok();
            let head = WriteRequest::new(value, request.version() > Version::HTTP_11);
            Ok(Self::new(repos, visitors_session(request), head)?)
        }))
    }
}

impl ResponseError for Replay {
    fn status_code(&self) -> StatusCode {
        StatusCode::CONFLICT
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status_code()).insert_header(self.header()).body(self.to_string())
    }
}
