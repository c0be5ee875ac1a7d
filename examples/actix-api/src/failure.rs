//! Why a request fails, and how it is answered.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

#[derive(Debug)]
pub enum Failure {
    EmailTaken,
    UnknownRow,
    Database(archipelago::Error),
}

impl From<archipelago::Error> for Failure {
    fn from(error: archipelago::Error) -> Self {
        match (error.code(), error.constraint()) {
            (_, Some("users_email_key")) => Self::EmailTaken,
            // A foreign key.
            (Some("23503"), _) => Self::UnknownRow,
            _ => Self::Database(error),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::EmailTaken => f.write_str("this email address is taken"),
            Self::UnknownRow => f.write_str("there is no such user or post"),
            Self::Database(error) => error.fmt(f),
        }
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::EmailTaken => StatusCode::CONFLICT,
            Self::UnknownRow => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Database(error) => error.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            // Logs the error, and shows no words of the database.
            Self::Database(error) => error.error_response(),
            _ => HttpResponse::build(self.status_code()).body(self.to_string()),
        }
    }
}
