//! Certificates of servers and of their clients: good ones, and each that a client may refuse.

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::x509::{X509, X509Builder, X509NameBuilder};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    RevokedCertParams, SanType, SerialNumber, SignatureAlgorithm, date_time_ymd,
};

/// Signs certificates.
pub type Authority = CertifiedIssuer<'static, KeyPair>;

/// A certificate with its chain, and its key: both PEM.
pub struct Identity {
    pub chain: String,
    pub key: String,
}

/// What a server shows, and how a client reaches it.
pub struct ServerCertificate {
    pub name: &'static str,
    pub identity: Identity,
    /// The host that the client asks for.
    pub host: &'static str,
    /// The authorities that the client trusts: PEM.
    pub root: String,
}

pub fn authority(name: &str) -> Authority {
    CertifiedIssuer::self_signed(authority_params(name), new_key(&PKCS_ECDSA_P256_SHA256)).unwrap()
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = named(name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A certificate with this common name, for these hosts and addresses.
pub fn named(common_name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

fn new_key(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).unwrap()
}

/// Signs `params`.
pub fn sign(params: &CertificateParams, authority: &Authority) -> Identity {
    sign_key(params, &new_key(&PKCS_ECDSA_P256_SHA256), authority)
}

fn sign_key(params: &CertificateParams, key: &KeyPair, authority: &Authority) -> Identity {
    let cert = params.signed_by(key, authority).unwrap();
    Identity { chain: cert.pem(), key: key.serialize_pem() }
}

fn dns_address(authority: &Authority) -> Identity {
    let mut params = named("x", &[]);
    params.subject_alt_names = vec![SanType::DnsName("127.0.0.1".try_into().unwrap())];
    sign(&params, authority)
}

/// The key's encoding is OpenSSL's, which does not read the one of rcgen.
fn ed25519(params: &CertificateParams, authority: &Authority) -> Identity {
    let key = PKey::generate_ed25519().unwrap().private_key_to_pem_pkcs8().unwrap();
    let key = String::from_utf8(key).unwrap();
    let signed = sign_key(params, &KeyPair::from_pem(&key).unwrap(), authority);
    Identity { key, ..signed }
}

/// As PostgreSQL's manual makes one: `openssl req -new -x509`.
fn self_signed() -> Identity {
    let key = new_key(&PKCS_ECDSA_P256_SHA256);
    let mut params = named("localhost", &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Identity { chain: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

/// As PostgreSQL's manual makes one: `openssl x509 -req`, which adds no extensions, and so writes
/// version 1.
fn version_1(authority: &Authority) -> Identity {
    without_extensions(&["localhost"], authority)
}

fn two_names(authority: &Authority) -> Identity {
    without_extensions(&["db", "localhost"], authority)
}

fn without_extensions(common_names: &[&str], authority: &Authority) -> Identity {
    let signer = PKey::private_key_from_pem(authority.key().serialize_pem().as_bytes()).unwrap();
    let issuer = X509::from_pem(authority.pem().as_bytes()).unwrap();
    let key =
        PKey::private_key_from_pem(new_key(&PKCS_ECDSA_P256_SHA256).serialize_pem().as_bytes());
    let key = key.unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    for common_name in common_names {
        name.append_entry_by_text("CN", common_name).unwrap();
    }
    let mut cert = X509Builder::new().unwrap();
    cert.set_version(0).unwrap();
    cert.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
    cert.set_subject_name(&name.build()).unwrap();
    cert.set_issuer_name(issuer.subject_name()).unwrap();
    cert.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    cert.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    cert.set_pubkey(&key).unwrap();
    cert.sign(&signer, MessageDigest::sha256()).unwrap();
    let text = |pem: Vec<u8>| String::from_utf8(pem).unwrap();
    Identity {
        chain: text(cert.build().to_pem().unwrap()),
        key: text(key.private_key_to_pem_pkcs8().unwrap()),
    }
}

/// Those that the matrix of the documentation lists, in its order.
pub fn of_servers() -> Vec<ServerCertificate> {
    let root = authority("root");
    let middle = CertifiedIssuer::signed_by(
        authority_params("middle"),
        new_key(&PKCS_ECDSA_P256_SHA256),
        &root,
    )
    .unwrap();
    let own = self_signed();
    let own_root = own.chain.clone();
    let mut expired = named("localhost", &["localhost"]);
    expired.not_after = date_time_ymd(2020, 1, 1);
    let below = |complete: bool| {
        let mut identity = sign(&named("localhost", &["localhost"]), &middle);
        if complete {
            identity.chain += &middle.pem();
        }
        identity
    };
    let here = || named("localhost", &["localhost"]);
    let other = authority("other");
    let rooted =
        |name, host, identity| ServerCertificate { name, host, identity, root: root.pem() };
    vec![
        rooted("for this host", "localhost", sign(&named("x", &["localhost"]), &root)),
        ServerCertificate {
            root: own_root,
            ..rooted("self-signed, its own authority", "localhost", own)
        },
        rooted("X.509 version 1", "localhost", version_1(&root)),
        rooted("common name only", "localhost", sign(&named("localhost", &[]), &root)),
        rooted(
            "common name of this host, names of another",
            "localhost",
            sign(&named("localhost", &["db"]), &root),
        ),
        rooted("an address", "127.0.0.1", sign(&named("x", &["127.0.0.1"]), &root)),
        rooted("an address as common name", "127.0.0.1", sign(&named("127.0.0.1", &[]), &root)),
        rooted(
            "another address, this one as common name",
            "127.0.0.1",
            sign(&named("127.0.0.1", &["10.0.0.1"]), &root),
        ),
        rooted("an address as a DNS name", "127.0.0.1", dns_address(&root)),
        rooted("two common names, this one second", "localhost", two_names(&root)),
        rooted("wildcard below a single label", "db.test", sign(&named("x", &["*.test"]), &root)),
        rooted("wildcard, host with `_`", "my_a.db.test", sign(&named("x", &["*.db.test"]), &root)),
        rooted("wildcard", "a.db.test", sign(&named("x", &["*.db.test"]), &root)),
        rooted("wildcard, for two labels", "b.a.db.test", sign(&named("x", &["*.db.test"]), &root)),
        rooted("wildcard in a label", "ab.db.test", sign(&named("x", &["a*.db.test"]), &root)),
        rooted(
            "ECDSA P-384 with SHA-384",
            "localhost",
            sign_key(&here(), &new_key(&PKCS_ECDSA_P384_SHA384), &root),
        ),
        rooted("Ed25519 key", "localhost", ed25519(&here(), &root)),
        rooted("of an intermediate, sent", "localhost", below(true)),
        rooted("of an intermediate, not sent", "localhost", below(false)),
        rooted("for another host", "localhost", sign(&named("x", &["db"]), &root)),
        rooted("of another authority", "localhost", sign(&named("x", &["localhost"]), &other)),
        rooted("expired", "localhost", sign(&expired, &root)),
    ]
}

/// A list with the certificate that has this serial number.
pub fn revoked(serial: u64, authority: &Authority) -> String {
    let revoked = RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(2100, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(authority).unwrap().pem().unwrap()
}
