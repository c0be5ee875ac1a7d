//! Whether a certificate is for a host, by libpq's rules: OpenSSL's own take less (`*.internal`, an
//! address as common name) and more (several common names).

use std::net::IpAddr;

use openssl::nid::Nid;
use openssl::x509::X509Ref;

/// The names that a certificate lists.
#[derive(Debug, Default)]
pub(super) struct CertificateNames {
    dns: Vec<String>,
    /// In network order.
    addresses: Vec<Vec<u8>>,
    /// The first one.
    common_name: Option<String>,
}

impl From<&X509Ref> for CertificateNames {
    fn from(cert: &X509Ref) -> Self {
        let mut names = Self::default();
        for name in cert.subject_alt_names().into_iter().flatten() {
            names.dns.extend(name.dnsname().map(str::to_owned));
            names.addresses.extend(name.ipaddress().map(<[u8]>::to_vec));
        }
        let common_name = cert.subject_name().entries_by_nid(Nid::COMMONNAME).next();
        let text =
            common_name.and_then(|name| String::from_utf8(name.data().as_slice().to_vec()).ok());
        Self { common_name: text, ..names }
    }
}

impl CertificateNames {
    /// As `pgtls_verify_peer_name_matches_certificate_guts` of libpq's `fe-secure-openssl.c`: the
    /// common name counts where the certificate lists no name of the host's own kind.
    pub(super) fn include(&self, host: &str) -> bool {
        let is_address = is_address(host);
        let lists_its_kind =
            if is_address { !self.addresses.is_empty() } else { !self.dns.is_empty() };
        self.dns.iter().any(|name| matches(name, host))
            || octets(host).is_some_and(|octets| self.addresses.contains(&octets))
            || !lists_its_kind && self.common_name.iter().any(|name| matches(name, host))
    }
}

/// A wildcard stands for one whole label, the first.
fn matches(name: &str, host: &str) -> bool {
    let below_wildcard = || {
        let (label, rest) = host.split_once('.')?;
        let pattern = name.strip_prefix("*.")?;
        Some(!label.is_empty() && !pattern.is_empty() && rest.eq_ignore_ascii_case(pattern))
    };
    name.eq_ignore_ascii_case(host) || below_wildcard() == Some(true)
}

/// Whether a host is written as an address: such a host is not sent as a name to the server, either.
pub(super) fn is_address(host: &str) -> bool {
    host.contains(':') || host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn octets(host: &str) -> Option<Vec<u8>> {
    Some(match host.parse().ok()? {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_certificate_is_for() {
        for (dns, addresses, common_name, host, expected) in [
            (vec!["db.test"], vec![], "x", "db.test", true),
            (vec!["db.test"], vec![], "x", "DB.Test", true),
            (vec!["db.test"], vec![], "x", "a.db.test", false),
            (vec!["*.db.test"], vec![], "x", "a.db.test", true),
            (vec!["*.db.test"], vec![], "x", "my_a.db.test", true),
            (vec!["*.db.test"], vec![], "x", "b.a.db.test", false),
            (vec!["*.db.test"], vec![], "x", ".db.test", false),
            (vec!["*.db.test"], vec![], "x", "db.test", false),
            (vec!["*.internal"], vec![], "x", "db.internal", true),
            (vec!["a*.db.test"], vec![], "x", "ab.db.test", false),
            (vec!["*"], vec![], "x", "db", false),
            (vec!["*."], vec![], "x", "db.", false),
            (vec!["foo.db.test"], vec![], "x", ".db.test", false),
            (vec![], vec![], "db.test", "db.test", true),
            (vec![], vec![], "*.db.test", "a.db.test", true),
            (vec!["other"], vec![], "db.test", "db.test", false),
            (vec![], vec!["10.0.0.1"], "db.test", "db.test", true),
            (vec![], vec!["10.0.0.1"], "x", "10.0.0.1", true),
            (vec![], vec!["::1"], "x", "0:0:0:0:0:0:0:1", true),
            (vec![], vec![], "::1", "0:0:0:0:0:0:0:1", false),
            (vec![], vec![], "10.0.0.1", "10.0.0.1", true),
            (vec!["other"], vec![], "10.0.0.1", "10.0.0.1", true),
            (vec!["10.0.0.1"], vec![], "x", "10.0.0.1", true),
            (vec![], vec!["10.0.0.2"], "10.0.0.1", "10.0.0.1", false),
            (vec![], vec!["10.0.0.1"], "127.1", "127.1", false),
        ] {
            let names = CertificateNames {
                dns: dns.iter().map(|name| (*name).to_owned()).collect(),
                addresses: addresses.iter().filter_map(|address| octets(address)).collect(),
                common_name: Some(common_name.to_owned()),
            };
            assert_eq!(names.include(host), expected, "{names:?}: {host}");
        }
    }
}
