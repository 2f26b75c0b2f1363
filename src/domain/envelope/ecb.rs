//! AES-256 in ECB mode with PKCS#7, in standard base64 with padding: what the guide's own sample
//! does (contract 5.1).

use aes::Aes256;
use data_encoding::BASE64;
use ecb::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyInit, block_padding::Pkcs7};
use zeroize::Zeroizing;

/// Equal blocks are sealed alike, wherever they stand.
pub const BLOCK_BYTES: usize = 16;

pub(super) const fn sealed_length(plain_bytes: usize) -> usize {
    let ciphertext = (plain_bytes / BLOCK_BYTES + 1) * BLOCK_BYTES;
    ciphertext.div_ceil(3) * 4
}

pub(super) fn seal(key: &[u8; 32], plain: &[u8]) -> String {
    let cipher = ecb::Encryptor::<Aes256>::new(key.into());
    BASE64.encode(&cipher.encrypt_padded_vec::<Pkcs7>(plain))
}

pub(super) fn open(key: &[u8; 32], sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
    let ciphertext = BASE64.decode(sealed.as_bytes()).ok()?;
    let cipher = ecb::Decryptor::<Aes256>::new(key.into());
    cipher.decrypt_padded_vec::<Pkcs7>(&ciphertext).ok().map(Zeroizing::new)
}
