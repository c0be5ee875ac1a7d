//! `sslmode`, certificates and channel binding: what psql on the same machine does, cell by cell.

use std::fmt::Write;
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use archipelago::{DatabaseUrl, DownReason, connect};
use archipelago_lab::{World, eventually};
use diesel::dsl::sql;
use diesel::sql_types::{Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslConnector, SslMethod, SslVerifyMode};
use openssl::symm::Cipher;
use openssl::x509::X509;
use rcgen::SerialNumber;

use super::certificates::{self, Identity, ServerCertificate, authority, named, sign};
use super::setup::DEADLINE;

/// A server that speaks TLS, and a client's files.
struct Encrypted {
    world: World,
    /// For what changes the server. It has no TLS.
    admin: AsyncPgConnection,
    folder: tempfile::TempDir,
}

/// How a session with a server came out.
#[derive(Debug, PartialEq, Eq)]
enum Session {
    Tls,
    Plain,
    Refused,
}

use Session::{Plain, Refused, Tls};

/// Makes the server speak TLS; `None` if this PostgreSQL was built without it.
async fn encrypted(world: World, certificate: &Identity) -> Option<Encrypted> {
    let url: DatabaseUrl = (world.primary().admin_url() + "?sslmode=disable").parse().unwrap();
    let admin = connect(&url).await.unwrap();
    let mut server = Encrypted { world, admin, folder: tempfile::tempdir().unwrap() };
    if server.admin.batch_execute("ALTER SYSTEM SET ssl = on").await.is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI needs a PostgreSQL that speaks TLS");
        println!("skipped: this PostgreSQL was built without TLS");
        return None;
    }
    server.show(certificate).await;
    Some(server)
}

impl Encrypted {
    /// The server writes its files, so that its user owns them and no other user can read them.
    async fn write(&mut self, file: &str, pem: &str) {
        let lines = pem.trim().replace("\r\n", "\n");
        let copy = format!(
            "COPY (SELECT unnest(string_to_array('{lines}', E'\\n')))
             TO PROGRAM 'umask 077; cat > {file}'"
        );
        self.admin.batch_execute(&copy).await.unwrap();
    }

    /// Shows another certificate from now on.
    async fn show(&mut self, certificate: &Identity) {
        self.write("server.crt", &certificate.chain).await;
        self.write("server.key", &certificate.key).await;
        self.reload().await;
        let expected = X509::from_pem(certificate.chain.as_bytes()).unwrap().to_der().unwrap();
        let port = self.world.primary().port();
        eventually("the server shows the certificate", DEADLINE, async || {
            shown_certificate(port).as_ref() == Some(&expected)
        })
        .await;
    }

    async fn reload(&mut self) {
        self.admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    }

    /// Lets in what `lines` of `pg_hba.conf` let in.
    async fn let_in(&mut self, lines: &str) {
        self.write("pg_hba.conf", &format!("local all all trust\n{lines}")).await;
        self.reload().await;
        let rules: i32 = i32::try_from(lines.lines().count() + 1).unwrap();
        let loaded = "(SELECT count(*)::int FROM pg_hba_file_rules WHERE error IS NULL)";
        let loaded: i32 = self.get(loaded).await;
        assert_eq!(loaded, rules, "each line is understood");
    }

    async fn get(&mut self, expression: &str) -> i32 {
        diesel::select(sql::<Integer>(expression)).get_result(&mut self.admin).await.unwrap()
    }

    async fn version(&mut self) -> i32 {
        self.get("current_setting('server_version_num')::int / 10000").await
    }

    /// A file of the client, which no other user can read.
    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path
    }

    /// The same server by another name.
    fn url(&self, host: &str, parameters: &str) -> String {
        let url = self.world.primary().url().replace("127.0.0.1", host);
        format!("{url}?hostaddr=127.0.0.1&{parameters}")
    }

    /// What psql and Archipelago make of a URL: the same.
    async fn session(&self, host: &str, parameters: &str) -> Session {
        let url = self.url(host, parameters);
        let (ours, psql) = (session(&url).await, self.psql(&url));
        assert_eq!(ours, psql, "psql takes `{host}` with {parameters} for the latter");
        ours
    }

    fn psql(&self, url: &str) -> Session {
        let output = Command::new(self.world.postgres().bin().join("psql"))
            .args([url, "--no-psqlrc", "--no-align", "--tuples-only", "--command"])
            .arg("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            .env("HOME", self.folder.path())
            .output()
            .unwrap();
        match (output.status.code(), str::from_utf8(&output.stdout).unwrap().trim()) {
            (Some(0), "t") => Tls,
            (Some(0), "f") => Plain,
            // "2 if the connection to the server went bad"
            (Some(2), "") => Refused,
            _ => panic!("{output:?}"),
        }
    }
}

/// The certificate that a server shows to a new connection.
fn shown_certificate(port: u16) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    // SSLRequest.
    stream.write_all(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]).ok()?;
    let mut answer = [0];
    stream.read_exact(&mut answer).ok()?;
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.set_verify(SslVerifyMode::NONE);
    let connector = connector.build().configure().unwrap().verify_hostname(false);
    let stream = connector.connect("localhost", stream).ok()?;
    stream.ssl().peer_certificate()?.to_der().ok()
}

async fn session(url: &str) -> Session {
    match pg_stat_ssl(url, "version").await {
        Err(_) => Refused,
        Ok(None) => Plain,
        Ok(Some(_)) => Tls,
    }
}

/// A column of `pg_stat_ssl`, of a new session.
async fn pg_stat_ssl(url: &str, column: &str) -> Result<Option<String>, String> {
    let url: DatabaseUrl = url.parse().map_err(|error| format!("{error}"))?;
    let mut connection = connect(&url).await.map_err(|error| error.to_string())?;
    let value = format!("(SELECT {column} FROM pg_stat_ssl WHERE pid = pg_backend_pid())");
    let value = diesel::select(sql::<Nullable<Text>>(&value));
    Ok(value.get_result(&mut connection).await.unwrap())
}

/// The columns of the matrix: what the documentation calls them, and the parameters.
const COLUMNS: [(&str, &str); 6] = [
    ("`prefer`", "sslmode=prefer"),
    ("`prefer`, root", "sslmode=prefer&sslrootcert=ROOT"),
    ("`require`", "sslmode=require"),
    ("`require`, root", "sslmode=require&sslrootcert=ROOT"),
    ("`verify-ca`", "sslmode=verify-ca&sslrootcert=ROOT"),
    ("`verify-full`", "sslmode=verify-full&sslrootcert=ROOT"),
];

#[archipelago_lab::test(primary = "home", own_servers)]
async fn each_certificate_is_taken_as_psql_takes_it(world: World) {
    let certificates = certificates::of_servers();
    let Some(mut server) = encrypted(world, &certificates[0].identity).await else { return };
    let version = server.version().await;
    if version < 15 {
        println!("skipped: psql looks at the addresses of a certificate since PostgreSQL 15");
        return;
    }
    let takes_direct = version >= 17;
    let mut table = String::from("| certificate |");
    for (column, _) in COLUMNS {
        write!(table, " {column} |").unwrap();
    }
    writeln!(table, "\n|{}", " --- |".repeat(COLUMNS.len() + 1)).unwrap();
    for ServerCertificate { name, identity, host, root } in &certificates {
        server.show(identity).await;
        let root = server.file("root.pem", root).display().to_string();
        write!(table, "| {name} |").unwrap();
        for (_, parameters) in COLUMNS {
            let parameters = parameters.replace("ROOT", &root);
            let session = server.session(host, &parameters).await;
            let cell = match session {
                Tls => "TLS",
                Plain => "plain text",
                Refused => "refused",
            };
            write!(table, " {cell} |").unwrap();
            if takes_direct {
                let direct = format!("{parameters}&sslnegotiation=direct");
                let is_weak = parameters.contains("prefer");
                let expected = if is_weak { Refused } else { session };
                assert_eq!(server.session(host, &direct).await, expected, "{name}: {direct}");
            }
        }
        table += "\n";
    }
    assert!(include_str!("../../../docs/tls.md").contains(&table), "docs/tls.md has not:\n{table}");
}

/// The certificates of clients, and what a server says that asks for one of its authority.
#[archipelago_lab::test(primary = "home", own_servers)]
async fn each_certificate_of_a_client_is_shown_as_psql_shows_it(world: World) {
    let root = authority("root");
    let identity = sign(&named("localhost", &["localhost"]), &root);
    let Some(mut server) = encrypted(world, &identity).await else { return };
    server.write("root.crt", &root.pem()).await;
    server.admin.batch_execute("ALTER SYSTEM SET ssl_ca_file = 'root.crt'").await.unwrap();
    server
        .let_in(
            "hostssl all app 127.0.0.1/32 scram-sha-256 clientcert=verify-ca
             host all postgres 127.0.0.1/32 trust",
        )
        .await;
    let own = sign(&named("app", &[]), &root);
    let key = PKey::private_key_from_pem(own.key.as_bytes()).unwrap();
    let encrypted_key =
        key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"secret").unwrap();
    let mut expired = named("app", &[]);
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let file = |name: &str, text: &[u8]| server.file(name, text).display().to_string();
    let cert = file("app.pem", own.chain.as_bytes());
    let pem = file("app.key", own.key.as_bytes());
    let der = file("app.der", &key.private_key_to_der().unwrap());
    let locked = file("locked.key", &encrypted_key);
    let other = sign(&named("app", &[]), &authority("other"));
    let [other_cert, other_key] =
        [file("other.pem", other.chain.as_bytes()), file("other.key", other.key.as_bytes())];
    let expired = sign(&expired, &root);
    let [expired_cert, expired_key] = [
        file("expired.pem", expired.chain.as_bytes()),
        file("expired.key", expired.key.as_bytes()),
    ];
    for (parameters, expected) in [
        (String::new(), Refused),
        (format!("sslcert={cert}&sslkey={pem}"), Tls),
        (format!("sslcert={cert}&sslkey={der}"), Tls),
        (format!("sslcert={cert}&sslkey={locked}&sslpassword=secret"), Tls),
        (format!("sslcert={cert}&sslkey={locked}&sslpassword=wrong"), Refused),
        (format!("sslcert={cert}&sslkey={other_key}"), Refused),
        (format!("sslcert={other_cert}&sslkey={other_key}"), Refused),
        (format!("sslcert={expired_cert}&sslkey={expired_key}"), Refused),
    ] {
        for mode in ["prefer", "require"] {
            let parameters = format!("sslmode={mode}&{parameters}");
            assert_eq!(server.session("localhost", &parameters).await, expected, "{parameters}");
        }
    }
    // psql asks for the password where it has a terminal.
    let url = server.url("localhost", &format!("sslcert={cert}&sslkey={locked}"));
    assert_eq!(session(&url).await, Refused);
    let without = format!("sslmode=require&sslcert={cert}&sslkey={pem}&sslcertmode=disable");
    assert_eq!(session(&server.url("localhost", &without)).await, Refused);
    let own = format!("sslmode=require&sslcert={cert}&sslkey={pem}");
    let named = pg_stat_ssl(&server.url("localhost", &own), "client_dn").await.unwrap();
    assert_eq!(named.as_deref(), Some("/CN=app"));
}

#[archipelago_lab::test(primary = "home", own_servers)]
async fn the_server_decides_between_tls_and_plain_text_as_for_psql(world: World) {
    let root = authority("root");
    let identity = sign(&named("localhost", &["localhost"]), &root);
    let Some(mut server) = encrypted(world, &identity).await else { return };
    let others = "host all postgres 127.0.0.1/32 trust";
    for (line, disable, prefer, require) in [
        ("hostssl all app 127.0.0.1/32 scram-sha-256", Refused, Tls, Tls),
        ("hostnossl all app 127.0.0.1/32 scram-sha-256", Plain, Plain, Refused),
        ("host all app 127.0.0.1/32 reject", Refused, Refused, Refused),
    ] {
        server.let_in(&format!("{line}\n{others}")).await;
        for (mode, expected) in [("disable", disable), ("prefer", prefer), ("require", require)] {
            let session = server.session("localhost", &format!("sslmode={mode}")).await;
            assert_eq!(session, expected, "{line}: {mode}");
        }
    }
    // The refusal of both attempts is one of the role.
    let url = server.url("localhost", "sslmode=prefer").parse().unwrap();
    let refused = connect(&url).await.err().unwrap();
    let code = "28000".to_owned();
    assert!(
        matches!(&refused, DownReason::Refused { sqlstate, .. } if *sqlstate == Some(code)),
        "{refused:?}"
    );
    // Of two attempts for different reasons, both are told.
    server.let_in(&format!("hostssl all app 127.0.0.1/32 scram-sha-256\n{others}")).await;
    let other = server.file("other.pem", authority("other").pem());
    let parameters = format!("sslmode=prefer&sslrootcert={}", other.display());
    let refused = connect(&server.url("localhost", &parameters).parse().unwrap()).await.err();
    let words = refused.unwrap().to_string();
    assert!(words.contains("certificate verify failed"), "{words}");
    assert!(words.contains("pg_hba.conf"), "{words}");
}

/// For each digest that a certificate is signed with.
#[archipelago_lab::test(primary = "home", own_servers)]
async fn a_password_is_bound_to_the_channel_as_by_psql(world: World) {
    let certificates = certificates::of_servers();
    let Some(mut server) = encrypted(world, &certificates[0].identity).await else { return };
    for name in ["for this host", "ECDSA P-384 with SHA-384", "X.509 version 1"] {
        let shown = certificates.iter().find(|certificate| certificate.name == name).unwrap();
        server.show(&shown.identity).await;
        for (parameters, expected) in [
            ("sslmode=require&channel_binding=disable", Tls),
            ("sslmode=require&channel_binding=prefer", Tls),
            ("sslmode=require&channel_binding=require", Tls),
            ("sslmode=disable&channel_binding=prefer", Plain),
            ("sslmode=disable&channel_binding=require", Refused),
        ] {
            let session = server.session("localhost", parameters).await;
            assert_eq!(session, expected, "{name}: {parameters}");
        }
    }
}

#[archipelago_lab::test(primary = "home", own_servers)]
async fn versions_and_revoked_certificates_count_as_for_psql(world: World) {
    let root = authority("root");
    let mut params = named("localhost", &["localhost"]);
    params.serial_number = Some(SerialNumber::from(7));
    let Some(mut server) = encrypted(world, &sign(&params, &root)).await else { return };
    let ca = server.file("ca.pem", root.pem()).display().to_string();
    for (serial, expected) in [(8, Tls), (7, Refused)] {
        let list = server.file("list.pem", certificates::revoked(serial, &root));
        let parameters = format!("sslmode=verify-full&sslrootcert={ca}&sslcrl={}", list.display());
        assert_eq!(server.session("localhost", &parameters).await, expected, "{serial}");
    }
    let hash = X509::from_pem(root.pem().as_bytes()).unwrap().subject_name_hash();
    let list = server.folder.path().join("list.pem");
    std::fs::rename(list, server.folder.path().join(format!("{hash:08x}.r0"))).unwrap();
    let folder = server.folder.path().display();
    let parameters = format!("sslmode=verify-full&sslrootcert={ca}&sslcrldir={folder}");
    assert_eq!(server.session("localhost", &parameters).await, Refused, "a folder of lists");
    let newest = "ALTER SYSTEM SET ssl_max_protocol_version = 'TLSv1.2'";
    server.admin.batch_execute(newest).await.unwrap();
    server.reload().await;
    for (parameters, expected) in [
        ("sslmode=require", Tls),
        ("sslmode=require&ssl_min_protocol_version=TLSv1.2", Tls),
        ("sslmode=require&ssl_min_protocol_version=TLSv1.3", Refused),
        ("sslmode=prefer&ssl_min_protocol_version=TLSv1.3", Plain),
        ("sslmode=prefer&ssl_max_protocol_version=TLSv1.1", Refused),
        ("ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2", Refused),
    ] {
        assert_eq!(server.session("localhost", parameters).await, expected, "{parameters}");
    }
}

/// The server and its authority, and the certificate of a client, are renewed in their files.
#[archipelago_lab::test(primary = "home", own_servers)]
async fn certificates_are_renewed_while_connections_are_open(world: World) {
    let root = authority("root");
    let first = sign(&named("localhost", &["localhost"]), &root);
    let Some(mut server) = encrypted(world, &first).await else { return };
    let ca = server.file("ca.pem", root.pem());
    let parameters = format!("sslmode=verify-full&sslrootcert={}", ca.display());
    let url: DatabaseUrl = server.url("localhost", &parameters).parse().unwrap();
    let mut open = connect(&url).await.unwrap();

    let renewed = authority("renewed");
    server.show(&sign(&named("localhost", &["localhost"]), &renewed)).await;
    let error = connect(&url).await.err().unwrap().to_string();
    assert!(error.contains("unable to get local issuer certificate"), "{error}");
    server.file("ca.pem", root.pem() + &renewed.pem());
    connect(&url).await.unwrap();
    let one: i32 = diesel::select(sql::<Integer>("1")).get_result(&mut open).await.unwrap();
    assert_eq!(one, 1, "a session goes on");
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn sslmode_require_refuses_plain_text(world: World) {
    let url = world.primary().url() + "?sslmode=require";
    let error = connect(&url.parse().unwrap()).await.err().unwrap();
    assert!(error.to_string().contains("server does not support TLS"), "{error}");
}

/// What answers a session that begins with TLS must speak PostgreSQL's protocol.
#[tokio::test]
async fn a_direct_session_without_alpn_is_refused() {
    let identity = sign(&named("localhost", &["localhost"]), &authority("root"));
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    let key = PKey::private_key_from_pem(identity.key.as_bytes()).unwrap();
    acceptor.set_private_key(&key).unwrap();
    acceptor.set_certificate(&X509::from_pem(identity.chain.as_bytes()).unwrap()).unwrap();
    let acceptor = acceptor.build();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut stream = acceptor.accept(listener.accept().unwrap().0).unwrap();
        stream.read(&mut [0; 1]).unwrap_or_default()
    });
    let url = format!("postgres://app@127.0.0.1:{port}/app?sslmode=require&sslnegotiation=direct");
    let error = connect(&url.parse().unwrap()).await.err().unwrap().to_string();
    assert!(error.contains("ALPN"), "{error}");
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, sign(&named("app", &[]), &authority("root")).key).unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o604)).unwrap();
    let key = key.display();
    for (parameters, expected) in [
        (format!("sslcert={key}&sslkey={key}"), "others may read the key; run chmod 0600"),
        (format!("sslcert={key}"), "there is no sslkey"),
    ] {
        let error = format!("postgres://u@db/app?{parameters}").parse::<DatabaseUrl>().unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_replicas_url_keeps_the_mode() {
    let url: DatabaseUrl = "postgres://u@db.internal/app?sslmode=require".parse().unwrap();
    assert_eq!(url.of_region("ord", |_| false).unwrap().sslmode(), url.sslmode());
}
