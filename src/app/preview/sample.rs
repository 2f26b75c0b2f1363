//! What sealed a text that somebody brings along: found by trying, because nothing in an envelope
//! tells its cipher or its key. ARGOS publishes neither the shape of its GCM envelopes nor which key
//! a project seals with, so a sample from its dashboard decides (contract 5.2).

use super::{Key, Preview};
use crate::domain::{
    envelope::{Cipher, Gcm, Keyring},
    liveform::envelope_of,
};

/// A text that was opened, and how it had been sealed.
pub struct Sample {
    pub content: String,
    pub key: Key,
    /// Keys of `projects.*.liveform` and their values as TOML, which tell the cipher.
    pub cipher: Vec<(&'static str, String)>,
    /// Those of them that the configuration must say and does not.
    pub to_write: Vec<(&'static str, String)>,
    /// The table that they belong to.
    pub table: String,
    /// The configuration opens and seals such texts.
    pub agrees: bool,
}

impl Preview {
    /// Tries every key of the configuration with every cipher, its own first. `None`: none opens it.
    pub fn identify(&self, text: &str) -> Option<Sample> {
        let sealed = envelope_of(text)?;
        let configured = self.liveform.cipher;
        let others: Vec<_> =
            std::iter::once(Cipher::Ecb).chain(Gcm::all().map(Cipher::Gcm)).collect();
        let (key, opened) = self.keys.iter().find_map(|(key, secret)| {
            let keyring = Keyring::new(configured, secret, []);
            keyring.open(&sealed, &others, written).map(|opened| (*key, opened))
        })?;
        let before = settings(configured);
        let cipher = settings(opened.cipher);
        let mut to_write: Vec<_> =
            cipher.iter().filter(|setting| !before.contains(setting)).cloned().collect();
        if key == Key::Api && self.key_in_use() == Key::Secret {
            to_write.push(("secret_key_file", quoted("")));
        }
        Some(Sample {
            content: opened.content,
            key,
            agrees: to_write.is_empty() && key == self.key_in_use(),
            cipher,
            to_write,
            table: format!("projects.{}.liveform", self.project),
        })
    }
}

/// What reads as text. Under a wrong key ECB gives noise, which does not.
fn written(plain: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(plain).ok()?;
    let control = |letter: char| letter.is_control() && !"\n\r\t".contains(letter);
    (!text.is_empty() && !text.contains(control)).then(|| text.to_owned())
}

fn settings(cipher: Cipher) -> Vec<(&'static str, String)> {
    match cipher {
        Cipher::Ecb => vec![("cipher", quoted(cipher.as_str()))],
        Cipher::Gcm(Gcm { layout, nonce, encoding }) => vec![
            ("cipher", quoted(cipher.as_str())),
            ("gcm_layout", quoted(layout.as_str())),
            ("gcm_nonce", nonce.bytes().to_string()),
            ("gcm_encoding", quoted(encoding.as_str())),
        ],
    }
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}
