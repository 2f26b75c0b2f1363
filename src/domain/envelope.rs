//! Envelopes: text that only ARGOS and we can read (contract 5).
//!
//! ARGOS seals with AES-256 in one of two modes, under the SHA-256 of a key text. What travels is
//! text: standard base64, or hex where GCM is configured so. Nothing but the plaintext is sealed: no
//! header tells the cipher or the key, so whoever opens an envelope tries, and believes what reads as
//! what it must be. ECB proves the key only weakly, which is ARGOS's choice and not ours.
//!
//! Keys are wiped when they are dropped and print nothing.

mod ecb;
mod gcm;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{entropy::Entropy, secret::Secret};

pub use ecb::BLOCK_BYTES;
pub use gcm::{Encoding, Gcm, Layout, NonceLength};

/// Randomness for one sealing, as much as any cipher needs. GCM is broken by one that is used twice.
pub type Nonce = [u8; 16];

/// How envelopes are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// AES-256-ECB with PKCS#7, in standard base64 (contract 5.1).
    Ecb,
    /// AES-256-GCM, in a shape that ARGOS does not publish (contract 5.2).
    Gcm(Gcm),
}

impl Cipher {
    /// As the configuration spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ecb => "ecb",
            Self::Gcm(_) => "gcm",
        }
    }

    /// A nonce for the next sealing. No randomness is spent where none is needed.
    pub fn nonce(self, entropy: &mut dyn Entropy) -> Nonce {
        let mut nonce = Nonce::default();
        if let Self::Gcm(_) = self {
            entropy.fill(&mut nonce);
        }
        nonce
    }

    /// Bytes of the envelope around so many.
    pub const fn sealed_length(self, plain_bytes: usize) -> usize {
        match self {
            Self::Ecb => ecb::sealed_length(plain_bytes),
            Self::Gcm(gcm) => gcm.sealed_length(plain_bytes),
        }
    }

    fn seal(self, key: &Key, plain: &[u8], nonce: &Nonce) -> String {
        match self {
            Self::Ecb => ecb::seal(&key.0, plain),
            Self::Gcm(gcm) => gcm.seal(&key.0, plain, nonce),
        }
    }

    /// `None`: not sealed like this, or under another key. With ECB one wrong key in 256 opens, and
    /// gives noise.
    fn open(self, key: &Key, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Self::Ecb => ecb::open(&key.0, sealed),
            Self::Gcm(gcm) => gcm.open(&key.0, sealed),
        }
    }
}

/// A key of envelopes: the SHA-256 of a key text, all 32 bytes.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    pub fn of(text: &Secret) -> Self {
        Self(Zeroizing::new(Sha256::digest(text.expose().as_bytes()).into()))
    }
}

/// What seals and opens the envelopes of one project: one cipher and one key for what leaves, and
/// besides them the keys of yesterday for what comes in while keys are changed.
#[derive(Clone)]
pub struct Keyring {
    cipher: Cipher,
    current: Key,
    previous: Vec<Key>,
}

/// Which key opened an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenedBy {
    Current,
    /// The place among the previous ones, from 0.
    Previous(usize),
}

/// An envelope that was opened.
#[derive(Debug)]
pub struct Opened<T> {
    pub content: T,
    pub by: OpenedBy,
    pub cipher: Cipher,
}

impl Keyring {
    pub fn new<'a>(
        cipher: Cipher,
        current: &Secret,
        previous: impl IntoIterator<Item = &'a Secret>,
    ) -> Self {
        let previous = previous.into_iter().map(Key::of).collect();
        Self { cipher, current: Key::of(current), previous }
    }

    pub const fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// The envelope around `plain`. `nonce` comes from [`Cipher::nonce`] and is used once.
    pub fn seal(&self, plain: &[u8], nonce: &Nonce) -> String {
        self.cipher.seal(&self.current, plain, nonce)
    }

    /// What is inside, as `read` understands it: every key is tried, the current one first, with the
    /// keyring's own cipher and then with the `others`, until something reads. What does not read was
    /// opened with the wrong key.
    pub fn open<T>(
        &self,
        sealed: &str,
        others: &[Cipher],
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Option<Opened<T>> {
        let current = std::iter::once((OpenedBy::Current, &self.current));
        let previous = self.previous.iter().enumerate();
        let previous = previous.map(|(place, key)| (OpenedBy::Previous(place), key));
        for (by, key) in current.chain(previous) {
            for cipher in std::iter::once(&self.cipher).chain(others) {
                let plain = cipher.open(key, sealed);
                if let Some(content) = plain.and_then(|plain| read(&plain)) {
                    return Some(Opened { content, by, cipher: *cipher });
                }
            }
        }
        None
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({:?}, …)", self.cipher)
    }
}

#[cfg(test)]
mod tests;
