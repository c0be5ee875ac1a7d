//! The users: list, show, new, create, edit, update, delete.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue, LOCATION};
use actix_web::{HttpResponse, web};
use archipelago::Error;
use uuid::Uuid;

use super::Visit;
use super::failure::retry_after;
use crate::failure::Failure;
use crate::form::{FieldErrors, UserForm};
use crate::notice::Notice;
use crate::paging::Cursor;
use crate::repos::{Reader, Writer};
use crate::views::{FormPage, FormTarget, IndexPage, ShowPage};
use crate::{reads, routes, writes};

type Answer = Result<HttpResponse, Failure>;

/// For a form that shows nobody's data: a browser that goes back to it finds the same one, with the same key.
const SAME_WHEN_BACK: HeaderValue = HeaderValue::from_static("private, no-cache");

/// GET `/users`. Rather an old page than none, as that of one user.
pub(crate) async fn index(
    reader: Reader,
    visit: Visit,
    cursor: Result<web::Query<Cursor>, actix_web::Error>,
) -> Answer {
    let cursor = match cursor {
        Ok(cursor) if cursor.after.is_some() && cursor.before.is_some() => {
            return Err(Failure::Nonsense(
                "A page of the list begins `after` a user's id or ends `before` one, not both.",
            ));
        }
        Ok(cursor) => *cursor,
        Err(_) => {
            return Err(Failure::Nonsense(
                "A page of the list is asked for as /users?after=50, with the id of a user.",
            ));
        }
    };
    let page = reads::page(&reader.or_stale(), cursor).await?;
    let [previous, next] = [page.previous, page.next].map(|cursor| cursor.map(routes::users_page));
    visit.page(
        StatusCode::OK,
        &IndexPage { frame: visit.frame(), users: &page.rows, previous, next },
    )
}

/// GET `/users/{id}`
pub(crate) async fn show(reader: Reader, visit: Visit, id: web::Path<i64>) -> Answer {
    let user = reads::user(&reader.or_stale(), *id).await?.ok_or(Failure::NoSuchUser)?;
    visit.page(StatusCode::OK, &ShowPage { frame: visit.frame(), user: &user })
}

/// GET `/users/new`
pub(crate) async fn new(visit: Visit) -> Answer {
    let mut page = form_page(
        &visit,
        StatusCode::OK,
        new_target(),
        &UserForm::default(),
        FieldErrors::default(),
        None,
    )?;
    page.headers_mut().insert(CACHE_CONTROL, SAME_WHEN_BACK);
    Ok(page)
}

/// POST `/users`
pub(crate) async fn create(writer: Writer, visit: Visit, form: web::Form<UserForm>) -> Answer {
    let Ok(key) = form.key() else {
        let problem = "The field _key holds no UUID, so nothing was saved. The form has a new one now: send it again.";
        return impossible(&visit, new_target(), &form, problem);
    };
    let target = key.map_or_else(new_target, |key| FormTarget::New { key });
    let user = match form.user() {
        Ok(user) => user,
        Err(errors) => return refused(&visit, target, &form, errors),
    };
    match writes::create(&writer, &user, key).await {
        Ok(created) if user.is(&created) => {
            Ok(redirect(routes::user(created.id).to_string(), Notice::Created))
        }
        Ok(other) => {
            let problem = format!(
                "This form has created user {} already, who has another name or age. Send it again to create one more.",
                other.id
            );
            impossible(&visit, new_target(), &form, &problem)
        }
        Err(error) => not_saved(&visit, target, &form, error),
    }
}

fn new_target() -> FormTarget {
    FormTarget::New { key: Uuid::new_v4() }
}

/// GET `/users/{id}/edit`. What a visitor changes must not be an old state.
pub(crate) async fn edit(reader: Reader, visit: Visit, id: web::Path<i64>) -> Answer {
    let user = reads::user(&reader, *id).await?.ok_or(Failure::NoSuchUser)?;
    let form =
        UserForm { name: Some(user.name), age: Some(user.age.to_string()), ..UserForm::default() };
    form_page(
        &visit,
        StatusCode::OK,
        FormTarget::Edit { id: user.id },
        &form,
        FieldErrors::default(),
        None,
    )
}

/// PUT and PATCH `/users/{id}`
pub(crate) async fn update(
    writer: Writer,
    visit: Visit,
    id: web::Path<i64>,
    form: web::Form<UserForm>,
) -> Answer {
    let target = FormTarget::Edit { id: *id };
    let changes = match form.changes() {
        Ok(changes) => changes,
        Err(errors) => return refused(&visit, target, &form, errors),
    };
    match writes::update(&writer, *id, &changes).await {
        Ok(Some(user)) => Ok(redirect(routes::user(user.id).to_string(), Notice::Updated)),
        Ok(None) => Err(Failure::NoSuchUser),
        Err(error) => not_saved(&visit, target, &form, error),
    }
}

/// DELETE `/users/{id}`
pub(crate) async fn delete(writer: Writer, id: web::Path<i64>) -> Answer {
    if writes::delete(&writer, *id).await? {
        Ok(redirect(routes::USERS.to_owned(), Notice::Deleted))
    } else {
        Err(Failure::NoSuchUser)
    }
}

/// POST `/users/{id}`: what a form without a script can send, with the method in a field.
pub(crate) async fn by_method(
    writer: Writer,
    visit: Visit,
    id: web::Path<i64>,
    form: web::Form<UserForm>,
) -> Answer {
    match form.method.as_deref().map(str::to_ascii_lowercase).as_deref() {
        Some("put" | "patch") => update(writer, visit, id, form).await,
        Some("delete") => delete(writer, id).await,
        _ => Err(Failure::Nonsense(
            "A POST to a user needs a field `_method` that says put, patch or delete.",
        )),
    }
}

/// The form again, with what is wrong beside each field.
fn refused(visit: &Visit, target: FormTarget, form: &UserForm, errors: FieldErrors) -> Answer {
    form_page(visit, StatusCode::UNPROCESSABLE_ENTITY, target, form, errors, None)
}

/// The form again, where its fields are right and it can be saved all the same only as another form.
fn impossible(visit: &Visit, target: FormTarget, form: &UserForm, problem: &str) -> Answer {
    form_page(
        visit,
        StatusCode::UNPROCESSABLE_ENTITY,
        target,
        form,
        FieldErrors::default(),
        Some(problem),
    )
}

/// The form again, so that nothing typed is lost while the primary is away.
fn not_saved(visit: &Visit, target: FormTarget, form: &UserForm, error: Error) -> Answer {
    if !error.is_passing() {
        return Err(error.into());
    }
    tracing::error!(%error, "a write was not saved");
    let problem = match &error {
        error if error.is_uncertain() && form.key.is_some() => {
            "The database did not confirm that it was saved. Send it again: the user is created only once."
        }
        error if error.is_uncertain() => {
            "The database did not confirm that it was saved. Look at the list before you send it again."
        }
        Error::Busy { .. } => {
            "Nothing was saved: the primary is too busy at the moment. Try again in a few seconds."
        }
        _ => {
            "Nothing was saved: no primary can be reached at the moment. Try again in a few seconds."
        }
    };
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut page = form_page(visit, status, target, form, FieldErrors::default(), Some(problem))?;
    retry_after(&mut page, error.retry_after());
    Ok(page)
}

fn form_page(
    visit: &Visit,
    status: StatusCode,
    target: FormTarget,
    form: &UserForm,
    FieldErrors { name: name_error, age: age_error }: FieldErrors,
    problem: Option<&str>,
) -> Answer {
    let (name, age) =
        (form.name.as_deref().unwrap_or_default(), form.age.as_deref().unwrap_or_default());
    visit.page(
        status,
        &FormPage { frame: visit.frame(), target, name, age, name_error, age_error, problem },
    )
}

/// See Other: the browser asks for the next page with a GET.
fn redirect(to: String, notice: Notice) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, to)).cookie(notice.cookie()).finish()
}
