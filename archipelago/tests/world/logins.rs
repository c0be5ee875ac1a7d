//! Who logs in: another role for reading, and a password that is asked for at each connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use archipelago::{DownReason, Error, Login, RepoSet, Settings};
use archipelago_lab::{World, eventually};
use diesel::dsl::sql_query;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::setup::{DEADLINE, HOUR, Repos, as_admin, create_users, users};

/// A password of which each character means something in a URL.
const PASSWORD: &str = "a b/c?d#e&f=g%41+@:é";

/// The password of the role `app`, in its URL.
fn app_password(settings: &Settings) -> String {
    let url = settings.url("home").unwrap().expose().to_owned();
    let (_, rest) = url.split_once(':').unwrap().1.split_once(':').unwrap();
    rest.split_once('@').unwrap().0.to_owned()
}

/// The same databases, by URLs without a password.
fn without_passwords(settings: &Settings) -> Settings {
    let password = app_password(settings);
    ["home", "near", "far"].into_iter().fold(settings.clone(), |settings, region| {
        let url = settings.url(region).unwrap().expose().replace(&format!(":{password}@"), "@");
        settings.with_url(region, &url).unwrap()
    })
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn reads_log_in_as_the_reading_user(world: World) {
    let settings = create_users(&world).await.in_region("near").with_max_lag(HOUR);
    as_admin(&world, &format!("CREATE ROLE \"rea%der\" LOGIN PASSWORD '{PASSWORD}'")).await;
    let plain = Repos::connect(&settings).await.unwrap();
    plain.primary().execute(sql_query("GRANT SELECT ON users TO \"rea%der\"")).await.unwrap();
    world.catch_up().await.unwrap();

    let reading = settings.with_reading_user("rea%der", Some(PASSWORD.to_owned()));
    assert!(!format!("{reading:?}").contains("a b/c"), "a password is never shown");
    let repos = Repos::connect(&reading).await.unwrap();
    let user = || diesel::dsl::sql::<Text>("current_user::text");
    for reads in [repos.repo_home().reads(), repos.replica()] {
        let named: String = reads.get_result(diesel::select(user())).await.unwrap();
        assert_eq!(named, "rea%der");
    }
    assert!(repos.replica().load::<i64>(users::table.select(users::id)).await.unwrap().is_empty());
    let writer: String = repos.primary().get_result(diesel::select(user())).await.unwrap().value;
    assert_eq!(writer, "app");
    repos.shutdown().await;
    plain.shutdown().await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_file_of_passwords_is_read_for_each_connection(world: World) {
    let settings = create_users(&world).await.in_region("near").with_max_lag(HOUR);
    let password = app_password(&settings);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "127.0.0.1:*:*:app:outdated\n").unwrap();
    let parameter = format!("?passfile={}", file.path().display());
    let settings = ["home", "near"].into_iter().fold(without_passwords(&settings), |it, region| {
        let url = it.url(region).unwrap().expose().to_owned() + &parameter;
        it.with_url(region, &url).unwrap()
    });
    let repos = Repos::connect(&settings).await.unwrap();
    let refused = repos.repo_near().reads().ping().await.unwrap_err();
    assert!(refused.to_string().contains("password authentication failed"), "{refused}");
    std::fs::write(file.path(), format!("*:*:*:app:{password}\n")).unwrap();
    eventually("the new password is used", DEADLINE, async || {
        repos.repo_near().reads().ping().await.is_ok()
    })
    .await;
    repos.shutdown().await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn each_connection_asks_for_its_password(world: World) {
    let settings = create_users(&world).await.in_region("near").with_max_lag(HOUR);
    let (password, asked) = (app_password(&settings), Arc::new(AtomicU32::new(0)));
    let counter = asked.clone();
    let settings = without_passwords(&settings).with_password(move |login: Login| {
        counter.fetch_add(1, Ordering::SeqCst);
        let password = password.clone();
        async move {
            assert_eq!((login.user.as_str(), login.host.as_str()), ("app", "127.0.0.1"));
            Ok::<_, std::io::Error>(password)
        }
    });
    let repos = Repos::connect(&settings).await.unwrap();
    let read = async || repos.replica().load::<i64>(users::table.select(users::id)).await.map(drop);
    read().await.unwrap();
    let before = asked.load(Ordering::SeqCst);
    assert!(before > 0);

    // Without a new connection nothing is asked; a new one, of a migration for example, asks.
    read().await.unwrap();
    drop(archipelago::connect(settings.url("home").unwrap()).await.unwrap());
    assert!(asked.load(Ordering::SeqCst) > before);
    repos.shutdown().await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_password_that_is_not_known_is_told(world: World) {
    let settings = without_passwords(&create_users(&world).await).in_region("near");
    let failing = settings.with_password(async |_| Err::<String, _>("the vault is sealed"));
    let repos = Repos::connect(&failing).await.unwrap();
    let error = repos.repo_near().reads().load::<i64>(users::table.select(users::id)).await;
    let error = error.unwrap_err();
    assert!(error.to_string().contains("the vault is sealed"), "{error}");
    assert!(!matches!(error, Error::Busy { .. }), "{error}");
    let sealed = DownReason::NoPassword { detail: "the vault is sealed".to_owned() };
    eventually("the monitor names the reason", DEADLINE, async || {
        let known = repos.members().nth(1).unwrap().health().down_reason;
        if known.as_ref() == Some(&sealed) { Ok(()) } else { Err(known) }
    })
    .await;
    repos.shutdown().await;
}
