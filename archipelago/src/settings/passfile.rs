//! A file of passwords, as libpq reads it:
//! <https://www.postgresql.org/docs/current/libpq-pgpass.html>.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::login::Login;

/// The most that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// The folder of Debian's socket, for which the file says `localhost`, and PostgreSQL's own.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// The password of a login. None where the file has none, or cannot be read.
pub(super) fn password(file: &Path, login: &Login) -> Option<String> {
    match read(file) {
        // As libpq, the first line counts, also one with an empty password.
        Ok(text) => {
            let password = text.lines().find_map(|line| password_in(line, login));
            password.filter(|password| !password.is_empty())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "the file of passwords is not used");
            None
        }
    }
}

fn read(file: &Path) -> io::Result<String> {
    let file = File::open(file)?;
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::mode(&file.metadata()?) & 0o077 != 0 {
        return Err(io::Error::other("others may read it; run chmod 0600"));
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// The password of a line `host:port:database:user:password` that is for this login.
fn password_in(line: &str, login: &Login) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let is_socket = SOCKET_FOLDERS.contains(&login.host.as_str());
    let host = if is_socket { "localhost" } else { &login.host };
    let mut rest = line;
    for expected in [host, &login.port.to_string(), &login.database, &login.user] {
        let (field, behind) = split_field(rest)?;
        if field != expected && rest[..rest.len() - behind.len() - 1] != *"*" {
            return None;
        }
        rest = behind;
    }
    Some(unescaped(rest))
}

/// The text before the next colon, and what follows that. None where there is no colon.
fn split_field(text: &str) -> Option<(String, &str)> {
    let mut is_escaped = false;
    let end = text.find(|character| {
        let ends = character == ':' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        ends
    })?;
    Some((unescaped(&text[..end]), &text[end + 1..]))
}

/// A backslash stands before a colon and before a backslash that stand for themselves.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let own = if character == '\\' { characters.next() } else { Some(character) };
        plain.extend(own);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_line_is_for_a_login() {
        let login = Login {
            user: "a:b".to_owned(),
            host: "db".to_owned(),
            port: 5433,
            database: "shop".to_owned(),
        };
        for (line, expected) in [
            ("db:5433:shop:a\\:b:s3cret", Some("s3cret")),
            ("*:*:*:*:s3\\:cret\\\\", Some("s3:cret\\")),
            ("*:5433:*:a\\:b:with:colons", Some("with:colons")),
            ("\\*:5433:shop:a\\:b:x", None),
            ("db:5432:shop:a\\:b:x", None),
            ("db:5433:shop:a:b:x", None),
            ("other:*:*:*:x", None),
            ("#db:5433:shop:a\\:b:x", None),
            ("db:5433:shop", None),
            ("*:*:*:*:", Some("")),
            ("", None),
        ] {
            assert_eq!(password_in(line, &login).as_deref(), expected, "{line}");
        }
        let local = Login { host: "/var/run/postgresql".to_owned(), ..login };
        assert_eq!(password_in("localhost:*:*:*:x", &local).as_deref(), Some("x"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pgpass");
        std::fs::write(&file, "# comment\n*:*:*:ada:one\n*:*:*:eve:\n*:*:*:*:two\n").unwrap();
        let login = |user: &str| Login {
            user: user.to_owned(),
            host: "db".to_owned(),
            port: 5432,
            database: "shop".to_owned(),
        };
        for (mode, user, expected) in [
            (0o600, "ada", Some("one")),
            (0o600, "bob", Some("two")),
            (0o600, "eve", None),
            (0o640, "ada", None),
        ] {
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(password(&file, &login(user)).as_deref(), expected, "{mode:o} {user}");
        }
        assert_eq!(password(&folder.path().join("none"), &login("ada")), None);
    }
}
