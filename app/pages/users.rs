//! The pages of the users: list, show, new, create, edit, update, delete.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpResponse, web};
use archipelago::Error;
use uuid::Uuid;

use super::PageContext;
use super::error_pages::insert_retry_after;
use super::notice::Notice;
use crate::failure::Failure;
use crate::form::{FieldErrors, Method, UserForm};
use crate::paging::Cursor;
use crate::repos::{Reader, Writer};
use crate::urls::UserId;
use crate::views::{FormPage, FormTarget, IndexPage, ShowPage};
use crate::{reads, urls, writes};

type PageResult = Result<HttpResponse, Failure>;

/// The new form's caching: the browser's Back button shows the same form, with the same key. It
/// shows no user's data.
const KEPT_BY_BROWSER: HeaderValue = HeaderValue::from_static("private, no-cache");

/// GET `/users`. Shows a stale page rather than none, as `show` does.
pub(crate) async fn index(
    reader: Reader,
    context: PageContext,
    cursor: Result<web::Query<Cursor>, actix_web::Error>,
) -> PageResult {
    let cursor = *cursor.map_err(|_| {
        Failure::BadRequest(
            "A page of the list has a URL such as /users?after=50, with a user's id.",
        )
    })?;
    if cursor.after.is_some() && cursor.before.is_some() {
        return Err(Failure::BadRequest(
            "A page of the list starts `after` a user's id or ends `before` one, not both.",
        ));
    }
    let page = reads::page(reader.replica().or_stale(), cursor).await?;
    let [previous, next] = [page.previous, page.next].map(|cursor| cursor.map(urls::users_page));
    let page = IndexPage { layout: context.layout(), users: &page.rows, previous, next };
    context.render(StatusCode::OK, &page)
}

/// GET `/users/{id}`
pub(crate) async fn show(
    reader: Reader,
    context: PageContext,
    id: web::Path<UserId>,
) -> PageResult {
    let user = reads::dated_user(reader.replica().or_stale(), id.0).await?;
    let user = user.ok_or(Failure::NoSuchUser)?;
    context.render(StatusCode::OK, &ShowPage::new(context.layout(), &user))
}

/// GET `/users/new`
pub(crate) async fn new(context: PageContext) -> PageResult {
    let form = UserForm::default();
    let mut page = FormAnswer::of(new_target(), &form).render(&context, StatusCode::OK)?;
    page.headers_mut().insert(CACHE_CONTROL, KEPT_BY_BROWSER);
    Ok(page)
}

/// POST `/users`
pub(crate) async fn create(
    writer: Writer,
    context: PageContext,
    form: web::Form<UserForm>,
) -> PageResult {
    let Ok(key) = form.key() else {
        let problem = "The field _key holds no UUID, so nothing was saved. The form has a new key now: send it again.";
        return conflict(&context, &form, problem);
    };
    let target = || key.map_or_else(new_target, |key| FormTarget::New { key });
    let user = match form.user() {
        Ok(user) => user,
        Err(errors) => return invalid(&context, target(), &form, errors),
    };
    match writes::create(writer.primary(), &user, key).await {
        Ok(created) if user.matches(&created) => {
            Ok(context.redirect(urls::user(created.id).to_string(), Notice::Created))
        }
        Ok(other) => {
            let problem = format!(
                "This form has created user {} already, who has another name or age. Send it again to create one more.",
                other.id
            );
            conflict(&context, &form, &problem)
        }
        Err(error) => not_saved(&context, target(), &form, error),
    }
}

/// GET `/users/{id}/edit`. Never stale: a visitor must not edit an old state.
pub(crate) async fn edit(
    reader: Reader,
    context: PageContext,
    id: web::Path<UserId>,
) -> PageResult {
    let user = reads::user(reader.replica(), id.0).await?.ok_or(Failure::NoSuchUser)?;
    let target = FormTarget::Edit { id: user.id };
    let form =
        UserForm { name: Some(user.name), age: Some(user.age.to_string()), ..UserForm::default() };
    FormAnswer::of(target, &form).render(&context, StatusCode::OK)
}

/// PUT and PATCH `/users/{id}`
pub(crate) async fn update(
    writer: Writer,
    context: PageContext,
    id: web::Path<UserId>,
    form: web::Form<UserForm>,
) -> PageResult {
    let target = FormTarget::Edit { id: id.0 };
    let changes = match form.changes() {
        Ok(changes) => changes,
        Err(errors) => return invalid(&context, target, &form, errors),
    };
    match writes::update(writer.primary(), id.0, &changes).await {
        Ok(Some(user)) => Ok(context.redirect(urls::user(user.id).to_string(), Notice::Updated)),
        Ok(None) => Err(Failure::NoSuchUser),
        Err(error) => not_saved(&context, target, &form, error),
    }
}

/// DELETE `/users/{id}`
pub(crate) async fn delete(
    writer: Writer,
    context: PageContext,
    id: web::Path<UserId>,
) -> PageResult {
    if writes::delete(writer.primary(), id.0).await? {
        Ok(context.redirect(urls::USERS.to_owned(), Notice::Deleted))
    } else {
        Err(Failure::NoSuchUser)
    }
}

/// POST `/users/{id}`: without a script, an HTML form can only POST, so its field `_method` says
/// what it means.
pub(crate) async fn update_or_delete(
    writer: Writer,
    context: PageContext,
    id: web::Path<UserId>,
    form: web::Form<UserForm>,
) -> PageResult {
    match form.method() {
        Some(Method::Update) => update(writer, context, id, form).await,
        Some(Method::Delete) => delete(writer, context, id).await,
        None => Err(Failure::BadRequest(
            "A POST to a user needs a field `_method` that says put, patch or delete.",
        )),
    }
}

/// Shows the form again, with an error beside each wrong field.
fn invalid(
    context: &PageContext,
    target: FormTarget,
    form: &UserForm,
    errors: FieldErrors,
) -> PageResult {
    let answer = FormAnswer { errors, ..FormAnswer::of(target, form) };
    answer.render(context, StatusCode::UNPROCESSABLE_ENTITY)
}

/// Shows the form again with a new key: its fields are valid, but it cannot be saved with the key
/// it has.
fn conflict(context: &PageContext, form: &UserForm, problem: &str) -> PageResult {
    let answer = FormAnswer { problem: Some(problem), ..FormAnswer::of(new_target(), form) };
    answer.render(context, StatusCode::UNPROCESSABLE_ENTITY)
}

/// Shows the form again, so that the visitor loses no input while the primary is unavailable.
fn not_saved(
    context: &PageContext,
    target: FormTarget,
    form: &UserForm,
    error: Error,
) -> PageResult {
    if !error.is_passing() {
        return Err(error.into());
    }
    tracing::error!(%error, "a write was not saved");
    let problem = Some(save_problem(&error, form.key.is_some()));
    let answer = FormAnswer { problem, ..FormAnswer::of(target, form) };
    let mut page = answer.render(context, StatusCode::SERVICE_UNAVAILABLE)?;
    insert_retry_after(&mut page, error.retry_after());
    Ok(page)
}

/// What to tell the visitor about a write that may succeed later.
fn save_problem(error: &Error, has_key: bool) -> &'static str {
    match error {
        error if error.is_uncertain() && has_key => {
            "The database did not confirm that it was saved. Send it again: the user is created only once."
        }
        error if error.is_uncertain() => {
            "The database did not confirm that it was saved. Look at the list before you send it again."
        }
        Error::Query(_) => {
            "Nothing was saved: the primary stopped the change. Try again in a few seconds."
        }
        Error::Busy { .. } => {
            "Nothing was saved: the primary is too busy at the moment. Try again in a few seconds."
        }
        _ => {
            "Nothing was saved: no primary can be reached at the moment. Try again in a few seconds."
        }
    }
}

/// The form as an answer: with what was typed, and with what is wrong.
struct FormAnswer<'a> {
    target: FormTarget,
    form: &'a UserForm,
    errors: FieldErrors,
    problem: Option<&'a str>,
}

impl<'a> FormAnswer<'a> {
    fn of(target: FormTarget, form: &'a UserForm) -> Self {
        Self { target, form, errors: FieldErrors::default(), problem: None }
    }

    fn render(self, context: &PageContext, status: StatusCode) -> PageResult {
        let Self { target, form, errors, problem } = self;
        let page = FormPage {
            layout: context.layout(),
            target,
            name: form.name.as_deref().unwrap_or_default(),
            age: form.age.as_deref().unwrap_or_default(),
            name_error: errors.name,
            age_error: errors.age,
            problem,
        };
        context.render(status, &page)
    }
}

fn new_target() -> FormTarget {
    FormTarget::New { key: Uuid::new_v4() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_an_uncertain_write_asks_the_visitor_to_check() {
        let (region, waited) = ("nrt", Duration::from_secs(1));
        for (error, has_key, start) in [
            (
                Error::Timeout { region, waited },
                true,
                "The database did not confirm that it was saved. Send it again",
            ),
            (
                Error::Timeout { region, waited },
                false,
                "The database did not confirm that it was saved. Look at the list",
            ),
            (Error::Busy { region, waited }, true, "Nothing was saved: the primary is too busy"),
            (Error::NotPrimary { region }, true, "Nothing was saved: no primary can be reached"),
            (Error::ShutDown { region }, false, "Nothing was saved: no primary can be reached"),
        ] {
            let problem = save_problem(&error, has_key);
            assert!(problem.starts_with(start), "{error}, has_key={has_key}: {problem}");
        }
    }
}
