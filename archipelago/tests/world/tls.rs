//! `sslmode` against a server that speaks TLS.

use std::os::unix::fs::PermissionsExt;

use archipelago::{DatabaseUrl, Error, Settings};
use archipelago_lab::{World, eventually};
use diesel::sql_types::{Nullable, Text};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::setup::{DEADLINE, Repos};

/// A server whose certificate is for `localhost`. It takes certificates of the same authority.
struct Encrypted {
    world: World,
    /// Has the authority's certificate, `ca.pem`, and those of a client, `app.pem`.
    folder: tempfile::TempDir,
}

/// Makes the server speak TLS; `None` if this PostgreSQL was built without it.
async fn encrypted(world: World) -> Option<Encrypted> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();

    let admin =
        Repos::connect(&Settings::single_database::<Repos>(&world.primary().admin_url()).unwrap())
            .await
            .unwrap();
    // The server writes the files, so that its user owns them and no other user can read them.
    for (file, pem) in [
        ("server.crt", certificate.pem()),
        ("server.key", key.serialize_pem()),
        ("root.crt", authority.pem()),
    ] {
        let lines = pem.trim().replace("\r\n", "\n");
        let copy = format!(
            "COPY (SELECT unnest(string_to_array('{lines}', E'\\n'))) TO PROGRAM 'umask 077; cat > {file}'"
        );
        admin.primary().execute(diesel::sql_query(copy)).await.unwrap();
    }
    match admin.primary().execute(diesel::sql_query("ALTER SYSTEM SET ssl = on")).await {
        // "SSL is not supported by this build"
        Err(error) if error.code() == Some("22023") => return None,
        answer => answer.unwrap(),
    };
    let takes_clients = diesel::sql_query("ALTER SYSTEM SET ssl_ca_file = 'root.crt'");
    admin.primary().execute(takes_clients).await.unwrap();
    admin.primary().execute(diesel::sql_query("SELECT pg_reload_conf()")).await.unwrap();
    let mut client = CertificateParams::new(Vec::new()).unwrap();
    client.distinguished_name.push(DnType::CommonName, "app");
    let client_key = KeyPair::generate().unwrap();
    let client = client.signed_by(&client_key, &authority).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (file, pem) in [
        ("ca.pem", authority.pem()),
        ("app.pem", client.pem()),
        ("app.key", client_key.serialize_pem()),
    ] {
        let path = folder.path().join(file);
        std::fs::write(&path, pem).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }
    let encrypted = Encrypted { world, folder };
    eventually("the server offers TLS", DEADLINE, async || {
        encrypted.version("localhost", "sslmode=require").await.is_ok()
    })
    .await;
    Some(encrypted)
}

impl Encrypted {
    fn url(&self, host: &str, parameters: &str) -> String {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let parameters = parameters.replace("CA", &file("ca.pem")).replace("OWN", &file("app"));
        self.world.primary().url().replace("127.0.0.1", host) + "?" + &parameters
    }

    /// The TLS version of a session, or `None` for plain text.
    async fn version(&self, host: &str, parameters: &str) -> Result<Option<String>, Error> {
        self.session(host, parameters, "version").await
    }

    /// A column of `pg_stat_ssl`, of a session.
    async fn session(
        &self,
        host: &str,
        parameters: &str,
        column: &str,
    ) -> Result<Option<String>, Error> {
        let settings = Settings::single_database::<Repos>(&self.url(host, parameters)).unwrap();
        let repos = Repos::connect(&settings).await.unwrap();
        let value = diesel::dsl::sql::<Nullable<Text>>(&format!(
            "(SELECT {column} FROM pg_stat_ssl WHERE pid = pg_backend_pid())"
        ));
        repos.replica_in("near").get_result(diesel::select(value)).await
    }
}

#[archipelago_lab::test(primary = "home", own_servers)]
async fn sslmode_means_what_libpq_means(world: World) {
    let Some(server) = encrypted(world).await else {
        assert!(std::env::var_os("CI").is_none(), "CI needs a PostgreSQL that speaks TLS");
        eprintln!("not run: this PostgreSQL was built without TLS");
        return;
    };
    let tls = Some("TLSv1.3".to_owned());
    assert_eq!(server.version("localhost", "sslmode=disable").await.unwrap(), None);
    assert_eq!(server.version("localhost", "").await.unwrap(), tls, "prefer is the default");
    assert_eq!(server.version("localhost", "sslmode=require").await.unwrap(), tls);
    assert_eq!(server.version("localhost", "sslmode=verify-ca&sslrootcert=CA").await.unwrap(), tls);
    assert_eq!(
        server.version("localhost", "sslmode=verify-full&sslrootcert=CA").await.unwrap(),
        tls
    );

    // The same server, by an address that is not in its certificate.
    assert_eq!(server.version("127.0.0.1", "sslmode=verify-ca&sslrootcert=CA").await.unwrap(), tls);
    let error = server
        .version("127.0.0.1", "sslmode=verify-full&sslrootcert=CA")
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("certificate not valid for name"), "{error}");

    // PostgreSQL 17 and later take a session that begins with TLS.
    let direct = server.version("localhost", "sslmode=require&sslnegotiation=direct").await;
    let number = "current_setting('server_version_num')";
    let number = server.session("localhost", "", number).await.unwrap().unwrap();
    if number.parse::<u32>().unwrap() >= 170_000 {
        assert_eq!(direct.unwrap(), tls);
    } else {
        direct.unwrap_err();
    }

    // This machine's authorities did not sign the certificate.
    let error = server.version("localhost", "sslmode=verify-full").await.unwrap_err().to_string();
    assert!(error.contains("UnknownIssuer"), "{error}");

    // A certificate of this client.
    let own = "sslmode=require&sslcert=OWN.pem&sslkey=OWN.key";
    let named = server.session("localhost", own, "client_dn").await.unwrap();
    assert_eq!(named.as_deref(), Some("/CN=app"));
    let unnamed = server.session("localhost", "sslmode=require", "client_dn").await.unwrap();
    assert_eq!(unnamed, None);

    // A session without TLS has nothing to bind the password to.
    let bound = "channel_binding=require";
    assert_eq!(server.version("localhost", bound).await.unwrap(), tls);
    let error = server.version("localhost", &format!("{bound}&sslmode=disable")).await.unwrap_err();
    assert!(error.to_string().contains("channel binding"), "{error}");
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn sslmode_require_refuses_plain_text(world: World) {
    let url = world.primary().url() + "?sslmode=require";
    let repos = Repos::connect(&Settings::single_database::<Repos>(&url).unwrap()).await.unwrap();
    let error = repos.repo_home().pool().ping().await.unwrap_err();
    assert!(error.to_string().contains("server does not support TLS"), "{error}");
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
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
