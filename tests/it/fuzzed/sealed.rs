//! A witness for envelopes that does not open them: it seals again what is said to have been inside.

use argospool::domain::{
    envelope::{Cipher, Encoding, Gcm, Keyring, Layout, Nonce},
    secret::Secret,
};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

const TAG_BYTES: usize = 16;

pub fn every_cipher() -> Vec<Cipher> {
    std::iter::once(Cipher::Ecb).chain(Gcm::all().map(Cipher::Gcm)).collect()
}

/// Whether whoever knows this key seals this plaintext into this very envelope.
pub fn was_sealed(key: &str, cipher: Cipher, plain: &[u8], envelope: &str) -> bool {
    let keyring = Keyring::new(cipher, &Secret::new(key.to_owned()), []);
    let Some(nonce) = nonce_of(cipher, envelope) else { return false };
    let again = keyring.seal(plain, &nonce);
    match cipher {
        Cipher::Gcm(Gcm { encoding: Encoding::Hex, .. }) => again.eq_ignore_ascii_case(envelope),
        Cipher::Ecb | Cipher::Gcm(Gcm { encoding: Encoding::Base64, .. }) => again == envelope,
    }
}

/// The nonce that an envelope carries; zeros where it carries none.
fn nonce_of(cipher: Cipher, envelope: &str) -> Option<Nonce> {
    let mut nonce = Nonce::default();
    let Cipher::Gcm(gcm) = cipher else { return Some(nonce) };
    let bytes = match gcm.encoding {
        Encoding::Base64 => BASE64.decode(envelope.as_bytes()).ok()?,
        Encoding::Hex => HEXLOWER_PERMISSIVE.decode(envelope.as_bytes()).ok()?,
    };
    let length = gcm.nonce.bytes();
    let text_bytes = bytes.len().checked_sub(length + TAG_BYTES)?;
    let begins = match gcm.layout {
        Layout::NonceCiphertextTag | Layout::NonceTagCiphertext => 0,
        Layout::CiphertextTagNonce => text_bytes + TAG_BYTES,
    };
    nonce[..length].copy_from_slice(&bytes[begins..begins + length]);
    Some(nonce)
}
