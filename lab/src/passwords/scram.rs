//! What a server keeps of a password, made here so that checking it costs next to nothing.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::digest::Key;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The usual 4096 rounds of hashing protect a password that can be guessed. Ours are random; and in a program built without
/// optimization, as tests are, those rounds take a client 20 to 40 ms for each connection.
const ROUNDS: u8 = 1;

/// For `PASSWORD '…'`, instead of the password of letters and digits that it is made of (RFC 5803).
pub(crate) fn verifier(password: &str) -> String {
    let salt: [u8; 16] = rand::random();
    // One round of PBKDF2, whose only block has the number 1.
    let salted = sign(password.as_bytes(), &[&salt[..], &[0, 0, 0, 1]].concat());
    let stored_key = Sha256::digest(sign(&salted, b"Client Key"));
    let server_key = sign(&salted, b"Server Key");
    let [salt, stored_key, server_key] =
        [&salt[..], &stored_key, &server_key].map(|bytes| BASE64_STANDARD.encode(bytes));
    format!("SCRAM-SHA-256${ROUNDS}:{salt}${stored_key}:{server_key}")
}

/// For a key of at most 64 bytes, which HMAC fills with zeros; a password of the lab has 32.
fn sign(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = Key::<Hmac<Sha256>>::default();
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    Hmac::<Sha256>::new(&block).chain_update(message).finalize().into_bytes().into()
}
