//! What ARGOS seals with (contract 5): AES-256 under the SHA-256 of a secret, in ECB mode or in GCM.
//!
//! ECB is certain. How GCM lays out its three parts is not published, so a project is told which
//! layout it plays. There is no associated data, and the tag has 16 bytes.
//!
//! ECB is not authenticated: a text under another secret sometimes opens, as nonsense. Whoever opens
//! one judges what is inside.

mod encoding;

use aes::{
    Aes256, Block,
    cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use aes_gcm::{
    Aes256Gcm, AesGcm,
    aead::{Aead, consts::U16},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::encoding::{from_base64, from_hex, to_base64, to_hex};

const BLOCK: usize = 16;
const TAG: usize = 16;

type Key = [u8; 32];
type Gcm12 = Aes256Gcm;
type Gcm16 = AesGcm<Aes256, U16>;

/// Which of ARGOS's two modules seals; as JSON `"ecb"` or `{"gcm": {}}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cipher {
    /// PKCS#7, standard base64 (contract 5.1).
    #[default]
    Ecb,
    Gcm(Gcm),
}

/// How GCM is written down (contract 5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gcm {
    pub layout: Layout,
    /// 12 or 16.
    pub nonce_bytes: NonceBytes,
    pub encoding: Encoding,
}

/// In which order the parts of a GCM text stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    #[default]
    NonceCiphertextTag,
    NonceTagCiphertext,
    CiphertextTagNonce,
}

/// The length of a GCM nonce; on the wire a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum NonceBytes {
    #[default]
    Twelve,
    Sixteen,
}

/// How a GCM text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Standard, with padding.
    #[default]
    Base64,
    /// Lower-case.
    Hex,
}

impl From<NonceBytes> for u8 {
    fn from(length: NonceBytes) -> Self {
        match length {
            NonceBytes::Twelve => 12,
            NonceBytes::Sixteen => 16,
        }
    }
}

impl TryFrom<u8> for NonceBytes {
    type Error = &'static str;

    fn try_from(length: u8) -> Result<Self, Self::Error> {
        match length {
            12 => Ok(Self::Twelve),
            16 => Ok(Self::Sixteen),
            _ => Err("a nonce has 12 or 16 bytes"),
        }
    }
}

impl Cipher {
    /// The text of the ciphertext. The same text under the same secret is sealed the same way.
    pub fn seal(self, plain: &[u8], secret: &str) -> String {
        let key = Sha256::digest(secret.as_bytes()).into();
        match self {
            Self::Ecb => to_base64(&ecb_seal(plain, &key)),
            Self::Gcm(gcm) => gcm.seal(plain, &key),
        }
    }

    /// What is inside; `None` when the text is damaged or the secret another, with ECB in all but one
    /// of some 250 cases.
    pub fn open(self, text: &str, secret: &str) -> Option<Vec<u8>> {
        let key = Sha256::digest(secret.as_bytes()).into();
        match self {
            Self::Ecb => ecb_open(from_base64(text)?, &key),
            Self::Gcm(gcm) => gcm.open(text, &key),
        }
    }
}

impl Gcm {
    fn seal(self, plain: &[u8], key: &Key) -> String {
        // Derived from all that is sealed: a nonce comes twice only with the same text, and a world
        // needs no luck for it.
        let digest = Sha256::new().chain_update(key).chain_update(plain).finalize();
        let nonce = &digest[..self.nonce()];
        let sealed = match self.nonce_bytes {
            NonceBytes::Twelve => encrypt::<Gcm12>(key, nonce, plain),
            NonceBytes::Sixteen => encrypt::<Gcm16>(key, nonce, plain),
        };
        let sealed = sealed.expect("nothing that the simulator seals comes near 64 GiB");
        let (ciphertext, tag) = sealed.split_at(sealed.len() - TAG);
        let parts = match self.layout {
            Layout::NonceCiphertextTag => [nonce, ciphertext, tag],
            Layout::NonceTagCiphertext => [nonce, tag, ciphertext],
            Layout::CiphertextTagNonce => [ciphertext, tag, nonce],
        };
        match self.encoding {
            Encoding::Base64 => to_base64(&parts.concat()),
            Encoding::Hex => to_hex(&parts.concat()),
        }
    }

    fn open(self, text: &str, key: &Key) -> Option<Vec<u8>> {
        let bytes = match self.encoding {
            Encoding::Base64 => from_base64(text)?,
            Encoding::Hex => from_hex(text)?,
        };
        let length = bytes.len().checked_sub(self.nonce() + TAG)?;
        let (nonce, ciphertext, tag) = match self.layout {
            Layout::NonceCiphertextTag => {
                let (nonce, rest) = bytes.split_at(self.nonce());
                let (ciphertext, tag) = rest.split_at(length);
                (nonce, ciphertext, tag)
            }
            Layout::NonceTagCiphertext => {
                let (nonce, rest) = bytes.split_at(self.nonce());
                let (tag, ciphertext) = rest.split_at(TAG);
                (nonce, ciphertext, tag)
            }
            Layout::CiphertextTagNonce => {
                let (ciphertext, rest) = bytes.split_at(length);
                let (tag, nonce) = rest.split_at(TAG);
                (nonce, ciphertext, tag)
            }
        };
        let sealed = [ciphertext, tag].concat();
        match self.nonce_bytes {
            NonceBytes::Twelve => decrypt::<Gcm12>(key, nonce, &sealed),
            NonceBytes::Sixteen => decrypt::<Gcm16>(key, nonce, &sealed),
        }
    }

    fn nonce(self) -> usize {
        usize::from(u8::from(self.nonce_bytes))
    }
}

fn encrypt<C: Aead + KeyInit>(key: &Key, nonce: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    C::new_from_slice(key).ok()?.encrypt(nonce.try_into().ok()?, plain).ok()
}

fn decrypt<C: Aead + KeyInit>(key: &Key, nonce: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    C::new_from_slice(key).ok()?.decrypt(nonce.try_into().ok()?, sealed).ok()
}

fn ecb_seal(plain: &[u8], key: &Key) -> Vec<u8> {
    let cipher = Aes256::new(key.into());
    let padding = BLOCK - plain.len() % BLOCK;
    let mut bytes = plain.to_vec();
    bytes.resize(plain.len() + padding, padding as u8);
    for chunk in bytes.chunks_exact_mut(BLOCK) {
        let mut block = Block::default();
        block.copy_from_slice(chunk);
        cipher.encrypt_block(&mut block);
        chunk.copy_from_slice(&block);
    }
    bytes
}

fn ecb_open(mut bytes: Vec<u8>, key: &Key) -> Option<Vec<u8>> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(BLOCK) {
        return None;
    }
    let cipher = Aes256::new(key.into());
    for chunk in bytes.chunks_exact_mut(BLOCK) {
        let mut block = Block::try_from(&*chunk).ok()?;
        cipher.decrypt_block(&mut block);
        chunk.copy_from_slice(&block);
    }
    let padding = usize::from(*bytes.last()?);
    let length = bytes.len().checked_sub(padding).filter(|_| (1..=BLOCK).contains(&padding))?;
    if bytes[length..].iter().any(|byte| usize::from(*byte) != padding) {
        return None;
    }
    bytes.truncate(length);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "test-api-key-0001";
    const PLAIN: &str = "{\"allowedCountries\":\"USA,KOR\"}";

    /// Contract 5.1: ours, on which OpenSSL and Node agree.
    const VECTORS: [(&str, &str); 4] = [
        ("{\"tokenId\":[\"user001a\"]}", "8Rk6/ZY7N236SMzuqoJ/UWlqMjjr1XK7PpRszIWUlgo="),
        (PLAIN, "qGTQCmRVn52wBK8R0hf7+L6AzRhKFt/7o0c4+otAlP4="),
        (
            "{\"webhook_trigger\":\"token_expired\",\"token_id\":\"abcd1234\"}",
            "uoirkSBQimoTaJHNSMCJf5nuwnB/+juJGNiIlYAQ2Xbru8XirNyKiGDb6pk65xNam/PKOor45DflVLjsG8ulJw==",
        ),
        ("0123456789abcdef", "OyOu0D2bwV7ryFRQiCarA6se4KL3NlG7ICYQfiKKlEE="),
    ];

    /// [`PLAIN`] under [`SECRET`] and a nonce that counts from 0, sealed with Node.
    const GCM_VECTORS: [(Layout, u8, &str); 6] = [
        (
            Layout::NonceCiphertextTag,
            12,
            "AAECAwQFBgcICQoLKP2qzfYcKAUGMlubhLxCwLKAGZBNCpiNNmeSu3s52auzK6DinQMwCCqcoJe8vQ==",
        ),
        (
            Layout::NonceTagCiphertext,
            12,
            "AAECAwQFBgcICQoL2auzK6DinQMwCCqcoJe8vSj9qs32HCgFBjJbm4S8QsCygBmQTQqYjTZnkrt7OQ==",
        ),
        (
            Layout::CiphertextTagNonce,
            12,
            "KP2qzfYcKAUGMlubhLxCwLKAGZBNCpiNNmeSu3s52auzK6DinQMwCCqcoJe8vQABAgMEBQYHCAkKCw==",
        ),
        (
            Layout::NonceCiphertextTag,
            16,
            "AAECAwQFBgcICQoLDA0OD01o2kY1xG8xRG96F/5FFw/3NUmdueWdJ2CwAnT7sE4XTyVhZaYRPfGLcN7EEWY=",
        ),
        (
            Layout::NonceTagCiphertext,
            16,
            "AAECAwQFBgcICQoLDA0OD04XTyVhZaYRPfGLcN7EEWZNaNpGNcRvMURvehf+RRcP9zVJnbnlnSdgsAJ0+7A=",
        ),
        (
            Layout::CiphertextTagNonce,
            16,
            "TWjaRjXEbzFEb3oX/kUXD/c1SZ255Z0nYLACdPuwThdPJWFlphE98Ytw3sQRZgABAgMEBQYHCAkKCwwNDg8=",
        ),
    ];

    fn gcm(layout: Layout, nonce: u8, encoding: Encoding) -> Cipher {
        Cipher::Gcm(Gcm { layout, nonce_bytes: nonce.try_into().unwrap(), encoding })
    }

    #[test]
    fn the_vectors_of_the_contract_are_sealed_and_opened() {
        for (plain, text) in VECTORS {
            assert_eq!(Cipher::Ecb.seal(plain.as_bytes(), SECRET), text);
            assert_eq!(Cipher::Ecb.open(text, SECRET).unwrap(), plain.as_bytes());
        }
    }

    #[test]
    fn gcm_opens_what_another_implementation_sealed_in_its_own_layout_alone() {
        for (sealed_as, sealed_nonce, text) in GCM_VECTORS {
            let bytes = from_base64(text).unwrap();
            for (layout, nonce, _) in GCM_VECTORS {
                let fits = (layout, nonce) == (sealed_as, sealed_nonce);
                let expected = fits.then(|| PLAIN.as_bytes().to_vec());
                assert_eq!(gcm(layout, nonce, Encoding::Base64).open(text, SECRET), expected);
                let hex = gcm(layout, nonce, Encoding::Hex);
                assert_eq!(hex.open(&to_hex(&bytes), SECRET), expected);
                assert_eq!(hex.open(text, SECRET), None, "that is base64");
            }
        }
    }

    #[test]
    fn what_gcm_seals_opens_again_and_two_texts_share_no_nonce() {
        for (layout, nonce, _) in GCM_VECTORS {
            for encoding in [Encoding::Base64, Encoding::Hex] {
                let cipher = gcm(layout, nonce, encoding);
                for plain in ["", PLAIN] {
                    let text = cipher.seal(plain.as_bytes(), SECRET);
                    assert_eq!(cipher.open(&text, SECRET).unwrap(), plain.as_bytes());
                    assert_eq!(cipher.open(&text, "another"), None);
                }
            }
        }
        let hex = gcm(Layout::NonceCiphertextTag, 12, Encoding::Hex);
        assert_ne!(hex.seal(b"a", SECRET)[..24], hex.seal(b"b", SECRET)[..24]);
    }

    #[test]
    fn a_wrong_secret_and_a_damaged_text_open_nothing() {
        let (_, sealed) = VECTORS[1];
        let open = |text: &str, secret: &str| Cipher::Ecb.open(text, secret);
        assert_eq!(open(sealed, "another"), None);
        assert_eq!(open(&sealed.replace('+', " "), SECRET), None, "not percent-encoded");
        assert_eq!(open(&sealed[4..], SECRET), None);
        assert_eq!(open("", SECRET), None);
        let gcm = Cipher::Gcm(Gcm::default());
        for text in ["", "AAAA", sealed] {
            assert_eq!(gcm.open(text, SECRET), None);
        }
    }

    #[test]
    fn a_cipher_is_named_in_json_with_what_is_left_out_as_it_is_by_default() {
        let read = |text| serde_json::from_str::<Cipher>(text);
        assert_eq!(read("\"ecb\"").unwrap(), Cipher::Ecb);
        assert_eq!(read("{\"gcm\":{}}").unwrap(), Cipher::Gcm(Gcm::default()));
        let whole =
            r#"{"gcm":{"layout":"nonce_tag_ciphertext","nonce_bytes":16,"encoding":"hex"}}"#;
        let cipher = read(whole).unwrap();
        assert_eq!(cipher, gcm(Layout::NonceTagCiphertext, 16, Encoding::Hex));
        assert_eq!(serde_json::to_string(&cipher).unwrap(), whole);
        assert!(read("{\"gcm\":{\"nonce_bytes\":13}}").is_err());
        assert!(read("{\"gcm\":{\"tag\":12}}").is_err());
    }
}
