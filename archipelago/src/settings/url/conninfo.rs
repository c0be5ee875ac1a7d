//! Reads and writes a URL by libpq's grammar: which parameters it has, and nothing of their meaning.
//!
//! The grammar is that of `conninfo_uri_parse` in PostgreSQL's `src/interfaces/libpq/fe-connect.c`,
//! and <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS> describes
//! it. A test compares the two.

use std::fmt;

use super::UrlError;

/// The schemes of PostgreSQL, as a URL begins with them.
const SCHEMES: [&str; 2] = ["postgresql://", "postgres://"];

/// Schemes that may stand before a secret are not shown; these may.
const OTHER_SCHEMES: [&str; 8] =
    ["cockroachdb", "http", "https", "jdbc:postgresql", "mariadb", "mysql", "redis", "sqlite"];

/// The parameters of a URL, each once, decoded.
#[derive(Clone)]
pub(super) struct Conninfo {
    scheme: &'static str,
    parameters: Vec<(String, String)>,
}

/// Whether there is an `@` behind the login that no user's name holds. libpq takes it as it is, but here
/// it is refused: it is the end of a password with an unencoded `/` or `@`, whose parts would be shown
/// as a host or a database.
pub(super) fn has_stray_at(text: &str) -> bool {
    let (_, rest) = text.split_once("://").unwrap_or(("", text));
    let behind_login = match rest.find(['@', '/']) {
        Some(at) if rest.as_bytes()[at] == b'@' => &rest[at + 1..],
        _ => rest,
    };
    let (servers, query) = behind_login.split_once('?').unwrap_or((behind_login, ""));
    let mut parts = std::iter::once(servers).chain(query.split('&'));
    let holds_names =
        |part: &&str| ["user=", "password="].iter().any(|name| part.starts_with(name));
    parts.any(|part| part.contains('@') && !holds_names(&part))
}

impl Conninfo {
    /// Reads a URL. The error shows no text of it, which may hold a password.
    pub(super) fn parse(text: &str) -> Result<Self, UrlError> {
        let scheme = SCHEMES.into_iter().find(|scheme| text.starts_with(scheme));
        let scheme = scheme.ok_or_else(|| wrong_scheme(text))?;
        if text.contains('\0') {
            return Err(UrlError::Syntax("it holds a character that is none"));
        }
        let mut read = Self { scheme, parameters: Vec::new() };
        let rest = read.login(&text[scheme.len()..])?;
        let rest = read.servers(rest)?;
        let (database, query) = match rest.strip_prefix('/') {
            Some(path) => path.split_once('?').unwrap_or((path, "")),
            None => ("", rest.strip_prefix('?').unwrap_or_default()),
        };
        read.set_encoded("dbname", database)?;
        read.query(query)?;
        Ok(read)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        parameters.find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn set(&mut self, name: &str, value: String) {
        match self.parameters.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.parameters.push((name.to_owned(), value)),
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.parameters.retain(|(known, _)| known != name);
    }

    /// Each parameter that has a value. libpq takes an empty one for none.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs().filter(|(_, value)| !value.is_empty())
    }

    /// Each parameter, those included that are empty.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Reads `user:password@`. Returns what follows.
    fn login<'t>(&mut self, text: &'t str) -> Result<&'t str, UrlError> {
        let end = text.find(['@', '/']).filter(|end| text.as_bytes()[*end] == b'@');
        let Some(end) = end else { return Ok(text) };
        let (user, password) = text[..end].split_once(':').unwrap_or((&text[..end], ""));
        self.set_encoded("user", user)?;
        self.set_encoded("password", password)?;
        Ok(&text[end + 1..])
    }

    /// Reads `host:port`, or several separated by commas. Returns what follows.
    fn servers<'t>(&mut self, text: &'t str) -> Result<&'t str, UrlError> {
        let (mut hosts, mut ports, mut rest) = (Vec::new(), Vec::new(), text);
        loop {
            let (host, behind) = split_host(rest)?;
            let (port, behind) = match behind.strip_prefix(':') {
                Some(port) => port.split_at(port.find(['/', '?', ',']).unwrap_or(port.len())),
                None => ("", behind),
            };
            hosts.push(host);
            ports.push(port);
            match behind.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    self.set_encoded("host", &hosts.join(","))?;
                    self.set_encoded("port", &ports.join(","))?;
                    return Ok(behind);
                }
            }
        }
    }

    /// Reads `name=value&name=value`.
    fn query(&mut self, text: &str) -> Result<(), UrlError> {
        let mut rest = text;
        while !rest.is_empty() {
            let (pair, next) = rest.split_once('&').unwrap_or((rest, ""));
            let (name, value) = pair
                .split_once('=')
                .filter(|(_, value)| !value.contains('='))
                .ok_or(UrlError::Syntax("a parameter has no `=`, or more than one"))?;
            match (decoded(name)?.as_str(), decoded(value)?) {
                // As JDBC's URLs have it.
                ("ssl", value) if value == "true" => self.set("sslmode", "require".to_owned()),
                (name, value) => self.set(name, value),
            }
            rest = next;
        }
        Ok(())
    }

    fn set_encoded(&mut self, name: &str, value: &str) -> Result<(), UrlError> {
        if !value.is_empty() {
            self.set(name, decoded(value)?);
        }
        Ok(())
    }

    /// Each host with its port. None where they cannot stand before the path: there is no host, or
    /// the ports are more or fewer.
    fn authority(&self) -> Option<String> {
        let hosts: Vec<_> =
            self.get("host").filter(|hosts| !hosts.is_empty())?.split(',').collect();
        let ports: Vec<_> = self.get("port").unwrap_or_default().split(',').collect();
        if ports.len() != hosts.len() {
            return None;
        }
        let server = |(host, port): (&&str, &&str)| {
            let host = if host.contains(':') {
                format!("[{}]", encoded_but(host, b":"))
            } else {
                encoded(host)
            };
            if port.is_empty() { host } else { format!("{host}:{}", encoded(port)) }
        };
        Some(hosts.iter().zip(&ports).map(server).collect::<Vec<_>>().join(","))
    }
}

/// The URL, with its password.
impl fmt::Display for Conninfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme)?;
        let authority = self.authority();
        let mut before = vec!["user", "password", "dbname"];
        if authority.is_some() {
            before.extend(["host", "port"]);
        }
        if let Some(user) = self.get("user") {
            f.write_str(&encoded(user))?;
        }
        if let Some(password) = self.get("password") {
            write!(f, ":{}", encoded(password))?;
        }
        if self.get("user").or(self.get("password")).is_some() {
            f.write_str("@")?;
        }
        f.write_str(&authority.unwrap_or_default())?;
        if let Some(database) = self.get("dbname") {
            write!(f, "/{}", encoded(database))?;
        }
        let rest = self.iter().filter(|(name, _)| !before.contains(name));
        for (index, (name, value)) in rest.enumerate() {
            let sign = if index == 0 { '?' } else { '&' };
            write!(f, "{sign}{}={}", encoded(name), encoded(value))?;
        }
        Ok(())
    }
}

/// Splits a host, or an IPv6 address in brackets, from what follows.
fn split_host(text: &str) -> Result<(&str, &str), UrlError> {
    let Some(address) = text.strip_prefix('[') else {
        return Ok(text.split_at(text.find([':', '/', '?', ',']).unwrap_or(text.len())));
    };
    match address.split_once(']') {
        Some((host, behind)) if !host.is_empty() => {
            if behind.is_empty() || behind.starts_with([':', '/', '?', ',']) {
                return Ok((host, behind));
            }
            Err(UrlError::Syntax("something other than a port follows an IPv6 address"))
        }
        _ => Err(UrlError::Syntax("an IPv6 address has no end, or is empty")),
    }
}

fn wrong_scheme(text: &str) -> UrlError {
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    match OTHER_SCHEMES.into_iter().find(|other| *other == scheme) {
        Some(other) => UrlError::Scheme(other),
        None => UrlError::Syntax("it begins with neither `postgres://` nor `postgresql://`"),
    }
}

/// Percent signs and two digits stand for bytes. A `+` stands for itself.
fn decoded(text: &str) -> Result<String, UrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let digit = |at: usize| char::from(*rest.get(at)?).to_digit(16);
        let byte =
            digit(0).zip(digit(1)).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        match byte {
            Some(0) => return Err(UrlError::Syntax("`%00` stands for no character")),
            Some(byte) => bytes.push(byte),
            None => return Err(UrlError::Syntax("two hexadecimal digits follow each `%`")),
        }
        rest = &rest[2..];
    }
    let text = String::from_utf8(bytes);
    text.map_err(|_| UrlError::Syntax("its percent signs make no UTF-8"))
}

fn encoded(text: &str) -> String {
    encoded_but(text, b"")
}

/// With a percent sign for every byte that may mean something, but for those of `plain`.
fn encoded_but(text: &str, plain: &[u8]) -> String {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || plain.contains(&byte);
    let encode = |byte| {
        if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(encode).collect()
}
