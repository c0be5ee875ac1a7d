//! How the URL of one region is made from `DATABASE_URL`, as a table; and that no message shows a
//! part of a URL that may be a password.

use std::env::VarError;
use std::io;
use std::sync::{Arc, Mutex};

use archipelago::{DatabaseUrl, Settings};

archipelago::repos! { primary home; replica ord }

/// The case, `DATABASE_URL`, and the URL that is made from it for the region `ord`.
const TABLE: &[(&str, &str, &str)] = &[
    (
        "Fly's own host",
        "postgres://u:p@db.internal:5432/app",
        "postgres://u:p@ord.db.internal:5433/app",
    ),
    ("no port", "postgres://u:p@db.internal/app", "postgres://u:p@ord.db.internal:5433/app"),
    (
        "another port",
        "postgres://u:p@db.internal:6000/app",
        "postgres://u:p@ord.db.internal:5433/app",
    ),
    (
        "the other scheme",
        "postgresql://u:p@db.internal/app",
        "postgresql://u:p@ord.db.internal:5433/app",
    ),
    (
        "any host of two labels",
        "postgres://u:p@example.com/app",
        "postgres://u:p@ord.example.com:5433/app",
    ),
    (
        "the nearest member",
        "postgres://u:p@top1.nearest.of.db.internal/app",
        "postgres://u:p@ord.db.internal:5433/app",
    ),
    (
        "the two nearest",
        "postgres://u:p@top2.nearest.of.db.internal:5432/app",
        "postgres://u:p@ord.db.internal:5433/app",
    ),
    (
        "the parameters",
        "postgres://u:p@db.internal/app?sslmode=disable&application_name=x",
        "postgres://u:p@ord.db.internal:5433/app?sslmode=disable&application_name=x",
    ),
    (
        "escapes in the password",
        "postgres://u:p%40%2F%3A@db.internal/app",
        "postgres://u:p%40%2F%3A@ord.db.internal:5433/app",
    ),
    (
        "escapes in a parameter",
        "postgres://u@db.internal/app?options=-c%20search_path%3Dx",
        "postgres://u@ord.db.internal:5433/app?options=-c%20search_path%3Dx",
    ),
    ("no password", "postgres://u@db.internal/app", "postgres://u@ord.db.internal:5433/app"),
    ("no user", "postgres://db.internal/app", "postgres://ord.db.internal:5433/app"),
    ("no database", "postgres://u:p@db.internal", "postgres://u:p@ord.db.internal:5433"),
    (
        "an app called like a region",
        "postgres://u:p@ord.internal/app",
        "postgres://u:p@ord.ord.internal:5433/app",
    ),
    ("capitals", "postgres://u:p@DB.Internal/app", "postgres://u:p@ord.db.internal:5433/app"),
    ("capitals before flycast", "postgres://u:p@DB.FLYCAST/app", "postgres://u:p@DB.FLYCAST/app"),
    ("a dot at the end", "postgres://u:p@localhost./app", "postgres://u:p@localhost./app"),
    (
        "the port as a parameter",
        "postgres://u:p@db.internal/app?port=5432&sslmode=disable",
        "postgres://u:p@ord.db.internal:5433/app?sslmode=disable",
    ),
    ("flycast", "postgres://u:p@db.flycast:5432/app", "postgres://u:p@db.flycast:5432/app"),
    (
        "prefixed with this region",
        "postgres://u:p@ord.db.internal:5433/app",
        "postgres://u:p@ord.db.internal:5433/app",
    ),
    (
        "prefixed with another region",
        "postgres://u:p@nrt.db.internal:5433/app",
        "postgres://u:p@nrt.db.internal:5433/app",
    ),
    (
        "prefixed with a known place",
        "postgres://u:p@fra.db.internal/app",
        "postgres://u:p@fra.db.internal/app",
    ),
    (
        "one machine",
        "postgres://u:p@148e4d.vm.db.internal/app",
        "postgres://u:p@148e4d.vm.db.internal/app",
    ),
    (
        "a process group",
        "postgres://u:p@web.process.db.internal/app",
        "postgres://u:p@web.process.db.internal/app",
    ),
    ("localhost", "postgres://u:p@localhost:5432/app", "postgres://u:p@localhost:5432/app"),
    (
        "a name under localhost",
        "postgres://u:p@pg.localhost/app",
        "postgres://u:p@pg.localhost/app",
    ),
    ("IPv4", "postgres://u:p@10.0.0.7:5432/app", "postgres://u:p@10.0.0.7:5432/app"),
    ("IPv6", "postgres://u:p@[fdaa::3]:5432/app", "postgres://u:p@[fdaa::3]:5432/app"),
    ("a container's name", "postgres://u:p@postgres:5432/app", "postgres://u:p@postgres:5432/app"),
    (
        "a socket",
        "postgres://u@%2Fvar%2Frun%2Fpostgresql/app",
        "postgres://u@%2Fvar%2Frun%2Fpostgresql/app",
    ),
    (
        "a socket as a parameter",
        "postgres:///app?host=/var/run/postgresql",
        "postgres:///app?host=/var/run/postgresql",
    ),
    (
        "a host as a parameter",
        "postgres:///app?host=db.internal&user=u",
        "postgres://u@ord.db.internal:5433/app",
    ),
    (
        "a host as a parameter beside another",
        "postgres://u@other/app?host=db.internal&application_name=a%20b",
        "postgres://u@ord.db.internal:5433/app?application_name=a%20b",
    ),
    (
        "an address as a parameter",
        "postgres://u@db.internal/app?hostaddr=10.0.0.7",
        "postgres://u@db.internal/app?hostaddr=10.0.0.7",
    ),
];

#[test]
fn each_url_becomes_that_of_its_region() {
    for (what, given, expected) in TABLE {
        let url: DatabaseUrl = given.parse().unwrap_or_else(|error| panic!("{what}: {error}"));
        let region = url.of_region("ord", |label| ["nrt", "ord", "fra"].contains(&label)).unwrap();
        assert_eq!(region.expose(), *expected, "{what}");
    }
}

#[test]
fn a_url_with_several_hosts_has_no_regional_host() {
    for given in ["postgres://u:p@a.internal:1,b.internal/app", "postgres:///app?host=a.x,b.x"] {
        let url: DatabaseUrl = given.parse().unwrap();
        let error = url.of_region("ord", |_| false).unwrap_err().to_string();
        assert!(error.starts_with("names several hosts"), "{error}");
        assert!(error.contains("DATABASE_URL_<REGION>"), "{error}");
    }
}

#[test]
fn host_and_port_are_those_that_are_connected_to() {
    let url: DatabaseUrl = "postgres://u:p@top1.nearest.of.db.internal/app".parse().unwrap();
    let ord = url.of_region("ord", |_| false).unwrap();
    assert_eq!((ord.host().as_str(), ord.port()), ("ord.db.internal", 5433));
    assert_eq!(
        (url.host().as_str(), url.port()),
        ("top1.nearest.of.db.internal", 5432),
        "the primary's URL is unchanged"
    );
    let ipv6: DatabaseUrl = "postgres://u:p@[fdaa::3]/app".parse().unwrap();
    assert_eq!(ipv6.to_string(), "postgres://u@[fdaa::3]:5432/app");
}

#[test]
fn a_displayed_url_hides_the_password() {
    let url: DatabaseUrl = "postgres://ada:hunter2@db.internal/app".parse().unwrap();
    assert_eq!(url.to_string(), "postgres://ada@db.internal:5432/app");
    assert_eq!(format!("{url:?}"), "DatabaseUrl(postgres://ada@db.internal:5432/app)");
}

#[test]
fn sslmode_is_displayed_in_libpqs_words() {
    let mode = |query: &str| {
        format!("postgres://u@db/app{query}").parse::<DatabaseUrl>().unwrap().sslmode().to_string()
    };
    assert_eq!(mode(""), "prefer");
    assert_eq!(mode("?sslmode=disable"), "disable");
    assert_eq!(mode("?sslmode=allow"), "prefer");
    assert_eq!(mode("?sslmode=require"), "require");
    assert_eq!(mode("?sslrootcert=system"), "verify-full", "less would trust any certificate");
}

/// A wrong URL and its error, which does not repeat the URL, as that may hold a password.
const WRONG: &[(&str, &str)] = &[
    (
        "db.internal/app",
        "is not a URL (it begins with neither `postgres://` nor `postgresql://`); write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters percent-encoded",
    ),
    (
        "hunter2://db.internal/app",
        "is not a URL (it begins with neither `postgres://` nor `postgresql://`); write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters percent-encoded",
    ),
    ("mysql://u:p@db.internal/app", "starts with `mysql://`; write postgres://… or postgresql://…"),
    (
        "postgres://u:100%@db.internal/app",
        "is not a URL (two hexadecimal digits follow each `%`); write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters percent-encoded",
    ),
    (
        "postgres://u@[::1/app",
        "is not a URL (an IPv6 address has no end, or is empty); write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters percent-encoded",
    ),
    (
        "postgres://u@db.internal/app?sslmode",
        "is not a URL (a parameter has no `=`, or more than one); write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters percent-encoded",
    ),
    // A slash in the password.
    (
        "postgres://u:hunter2/x@db.internal/app",
        "is not a URL (it has an `@` more than the one before its host); write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters percent-encoded",
    ),
    (
        "postgres://u%3Ahunter2@db.internal/app",
        "is not a URL (its user, or PGUSER, holds a `:`, as if a password followed); write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters percent-encoded",
    ),
    ("postgres://u:p@db.internal:port/app", "has a wrong `port`; write numbers of 1 to 65535"),
    ("postgres:///app?host=a.internal&port=0", "has a wrong `port`; write numbers of 1 to 65535"),
    ("postgres:///app", "names no host; write postgres://USER:PASSWORD@HOST:PORT/DATABASE"),
    ("postgres://u@a,,b/app", "names no host; write postgres://USER:PASSWORD@HOST:PORT/DATABASE"),
    (
        "postgres://u@a.internal,b.internal/app?hostaddr=10.0.0.7",
        "names more or fewer of `hostaddr` than hosts; give each host one, separated by commas",
    ),
    (
        "postgres:///app?host=a.internal,b.internal,c.internal&port=1,2",
        "names more or fewer of `port` than hosts; give each host one, separated by commas",
    ),
    (
        "postgres://u:p@db.internal/app?pgbouncer=true",
        "has a parameter that libpq does not know; write only those of https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS",
    ),
    (
        "postgres://u:p@db.internal/app?require_auth=scram-sha-256",
        "has a `require_auth` (or PGREQUIREAUTH is set), which Archipelago does not support; leave it out",
    ),
    (
        "postgres://u:p@db.internal/app?gssencmode=require",
        "has a `gssencmode` (or PGGSSENCMODE is set), which Archipelago does not support; write disable or prefer",
    ),
    (
        "postgres://u:p@db.internal/app?target_session_attrs=fast",
        "has a wrong `target_session_attrs`; write any, read-write, read-only, primary, standby or prefer-standby",
    ),
    (
        "postgres://u:p@db.internal/app?sslnegotiation=direct",
        "has a wrong `sslnegotiation`; write direct with sslmode=require or more",
    ),
    (
        "postgres://u:p@db.internal/app?sslmode=always",
        "has a wrong `sslmode`; write disable, allow, prefer, require, verify-ca or verify-full",
    ),
    (
        "postgres://u:p@db.internal/app?sslmode=require&sslrootcert=system",
        "has sslrootcert=system with an sslmode that checks too little; write sslmode=verify-full",
    ),
    (
        "postgres://u:p@db.internal/app?sslmode=verify-full&sslrootcert=/nowhere/ca.pem",
        "has sslrootcert=/nowhere/ca.pem, which cannot be used (No such file or directory (os error 2)); name a PEM file of certificates, or write `system`",
    ),
];

#[test]
fn wrong_urls_are_explained() {
    for (given, expected) in WRONG {
        let error = given.parse::<DatabaseUrl>().expect_err(given);
        assert_eq!(error.to_string(), *expected, "{given}");
    }
}

/// Passwords that begin with, or hold, what ends one part of a URL.
fn odd_password(random: &mut fastrand::Rng) -> String {
    let odd =
        ["/", "?", "#", "@", ":", "&", "=", "%", ",", "[", "]", "+", " ", "\\", "'", "ü", "%2F"];
    let mut password = String::new();
    for part in 0..3 {
        if part > 0 || random.bool() {
            password.push_str(random.choice(odd).unwrap());
        }
        if part == 0 && random.bool() {
            password.push_str("1234");
            continue;
        }
        // What must not be seen. No other text holds it.
        password.push_str("hunter");
    }
    password
}

#[tokio::test]
async fn no_message_shows_a_password() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let mut random = fastrand::Rng::with_seed(16);
    let (mut read, mut refused) = (0, 0);
    for _ in 0..10_000 {
        let password = odd_password(&mut random);
        let query = random
            .choice(["", "?sslmode=disable", "?sslmode=hunter", "?hunter=1", "?options=x@y"])
            .unwrap();
        let scheme = random.choice(["postgres://", "postgresql://", "hunter://", ""]).unwrap();
        let url = format!("{scheme}app:{password}@127.0.0.1:1/app{query}");
        let mut messages = vec![];
        match url.parse::<DatabaseUrl>() {
            Err(error) => {
                refused += 1;
                messages.extend([error.to_string(), format!("{error:?}")]);
            }
            Ok(parsed) => {
                read += 1;
                messages.extend([parsed.to_string(), format!("{parsed:?}"), parsed.host()]);
                if parsed.host() == "127.0.0.1" {
                    let error = archipelago::connect(&parsed).await.err().unwrap();
                    messages.extend([error.to_string(), format!("{error:?}")]);
                }
            }
        }
        let settings = Settings::from_vars::<Repos>(|name| {
            if name == "DATABASE_URL" { Ok(url.clone()) } else { Err(VarError::NotPresent) }
        });
        messages.push(match settings {
            Ok(settings) => format!("{settings:?}"),
            Err(error) => format!("{error} {error:?}"),
        });
        let shown = messages.iter().find(|message| message.contains("hunter"));
        assert_eq!(shown, None, "{url}");
    }
    assert!(read > 1000 && refused > 1000, "{read} read, {refused} refused");
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let line = log.lines().find(|line| line.contains("hunter"));
    assert_eq!(line, None);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
