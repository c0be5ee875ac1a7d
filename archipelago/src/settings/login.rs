//! Who logs in: the role for reading, and a password that is asked for at each new connection.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::error::DownReason;

/// A login that needs a password, as [`Settings::with_password`](crate::Settings::with_password)
/// hands it to its function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Login {
    /// The role.
    pub user: String,
    /// The server's host, or the folder of its socket.
    pub host: String,
    /// The server's port.
    pub port: u16,
    /// The database; the role's name where the URL names none.
    pub database: String,
}

type Ask = dyn Fn(Login) -> BoxFuture<'static, Result<String, DownReason>> + Send + Sync;

/// The function that knows the password of the moment.
#[derive(Clone)]
pub(crate) struct PasswordSource(Arc<Ask>);

impl PasswordSource {
    pub(super) fn new<A, E>(ask: impl Fn(Login) -> A + Send + Sync + 'static) -> Self
    where
        A: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        Self(Arc::new(move |login| {
            let asked = ask(login);
            let password = async {
                asked.await.map_err(|error| {
                    let error: Box<dyn Error + Send + Sync> = error.into();
                    DownReason::no_password(&error)
                })
            };
            password.boxed()
        }))
    }

    pub(super) async fn password(&self, login: Login) -> Result<String, DownReason> {
        (self.0)(login).await
    }
}

impl fmt::Debug for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordSource(..)")
    }
}

/// The role that logs in for reading. Its `Debug` does not show the password.
#[derive(Clone)]
pub(crate) struct ReadingUser {
    pub(super) user: String,
    pub(super) password: Option<String>,
}

impl fmt::Debug for ReadingUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadingUser").field("user", &self.user).finish_non_exhaustive()
    }
}
