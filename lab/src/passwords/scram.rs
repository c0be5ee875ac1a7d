//! SCRAM verifiers, which a server stores instead of passwords, with a single round of hashing.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::digest::Key;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The usual 4096 rounds protect passwords that can be guessed; the lab's are random. In a program
/// built without optimization, such as a test, those rounds take a client 20 to 40 ms per
/// connection.
const ROUNDS: u8 = 1;

/// The verifier of a password of letters and digits (RFC 5803). `PASSWORD '…'` takes it instead of
/// the password.
pub(crate) fn verifier(password: &str) -> String {
    let salt: [u8; 16] = rand::random();
    // One round of PBKDF2. Its only block has the number 1.
    let salted = sign(password.as_bytes(), &[&salt[..], &[0, 0, 0, 1]].concat());
    let stored_key = Sha256::digest(sign(&salted, b"Client Key"));
    let server_key = sign(&salted, b"Server Key");
    let [salt, stored_key, server_key] =
        [&salt[..], &stored_key, &server_key].map(|bytes| BASE64_STANDARD.encode(bytes));
    format!("SCRAM-SHA-256${ROUNDS}:{salt}${stored_key}:{server_key}")
}

/// The HMAC of a message, by a key of at most 64 bytes. A password of the lab has 32.
fn sign(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = Key::<Hmac<Sha256>>::default();
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    Hmac::<Sha256>::new(&block).chain_update(message).finalize().into_bytes().into()
}
