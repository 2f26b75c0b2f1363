//! Opens the `encrypted` parameter of a link and seals the body of a webhook: AES-256 in ECB mode
//! under the SHA-256 of a secret, PKCS#7, standard base64 (contract 5.1).

use std::collections::BTreeMap;

use aes::{
    Aes256, Block,
    cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

const BLOCK: usize = 16;
const SYMBOLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The text of the ciphertext.
pub(super) fn seal(plain: &[u8], secret: &str) -> String {
    let cipher = Aes256::new(&Sha256::digest(secret.as_bytes()));
    let padding = BLOCK - plain.len() % BLOCK;
    let mut bytes = plain.to_vec();
    bytes.resize(plain.len() + padding, padding as u8);
    for chunk in bytes.chunks_exact_mut(BLOCK) {
        let mut block = Block::default();
        block.copy_from_slice(chunk);
        cipher.encrypt_block(&mut block);
        chunk.copy_from_slice(&block);
    }
    to_base64(&bytes)
}

/// The parameters inside, native booleans and numbers as text; `None` when the secret does not fit
/// or the text is no object.
pub(super) fn open(sealed: &str, secret: &str) -> Option<BTreeMap<String, String>> {
    let mut bytes = from_base64(sealed)?;
    if bytes.is_empty() || bytes.len() % BLOCK != 0 {
        return None;
    }
    let cipher = Aes256::new(&Sha256::digest(secret.as_bytes()));
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
    let object: BTreeMap<String, Value> = serde_json::from_slice(&bytes[..length]).ok()?;
    let text = |value: Value| match value {
        Value::String(text) => text,
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_)) => other.to_string(),
    };
    Some(object.into_iter().map(|(name, value)| (name, text(value))).collect())
}

/// Standard base64 with its padding.
fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for triple in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded[1..=triple.len()].copy_from_slice(triple);
        let bits = u32::from_be_bytes(padded);
        for place in 0..4 {
            let symbol = SYMBOLS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= triple.len() { char::from(symbol) } else { '=' });
        }
    }
    text
}

/// The inverse; `None` for anything else, a `+` turned into a space included.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let symbols = text.as_bytes();
    if !symbols.len().is_multiple_of(4) {
        return None;
    }
    let padding = symbols.iter().rev().take(2).take_while(|symbol| **symbol == b'=').count();
    let (symbols, _) = symbols.split_at(symbols.len() - padding);
    let mut bytes = Vec::with_capacity(symbols.len() / 4 * 3 + 2);
    for quad in symbols.chunks(4) {
        let mut bits = 0_u32;
        for symbol in quad {
            bits = bits << 6 | value(*symbol)?;
        }
        bits <<= 6 * (4 - quad.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..quad.len()]);
    }
    Some(bytes)
}

fn value(symbol: u8) -> Option<u32> {
    let value = match symbol {
        b'A'..=b'Z' => symbol - b'A',
        b'a'..=b'z' => symbol - b'a' + 26,
        b'0'..=b'9' => symbol - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "test-api-key-0001";

    #[test]
    fn the_vectors_of_the_contract_open() {
        let sealed = "qGTQCmRVn52wBK8R0hf7+L6AzRhKFt/7o0c4+otAlP4=";
        assert_eq!(open(sealed, SECRET).unwrap()["allowedCountries"], "USA,KOR");
        let sealed = "uoirkSBQimoTaJHNSMCJf5nuwnB/+juJGNiIlYAQ2Xbru8XirNyKiGDb6pk65xNam/PKOor45DflVLjsG8ulJw==";
        assert_eq!(open(sealed, SECRET).unwrap()["token_id"], "abcd1234");
    }

    #[test]
    fn what_is_sealed_reads_as_the_vectors_of_the_contract() {
        let vectors = [
            ("{\"tokenId\":[\"user001a\"]}", "8Rk6/ZY7N236SMzuqoJ/UWlqMjjr1XK7PpRszIWUlgo="),
            ("0123456789abcdef", "OyOu0D2bwV7ryFRQiCarA6se4KL3NlG7ICYQfiKKlEE="),
        ];
        for (plain, text) in vectors {
            assert_eq!(seal(plain.as_bytes(), SECRET), text);
        }
        assert_eq!(
            [to_base64(b"a"), to_base64(b"ab"), to_base64(b"abc")],
            ["YQ==", "YWI=", "YWJj"]
        );
    }

    #[test]
    fn a_wrong_secret_and_a_damaged_text_open_nothing() {
        let sealed = "qGTQCmRVn52wBK8R0hf7+L6AzRhKFt/7o0c4+otAlP4=";
        assert_eq!(open(sealed, "another"), None);
        assert_eq!(
            open(&sealed.replace('+', " "), SECRET),
            None,
            "not percent-encoded in the link"
        );
        assert_eq!(open(&sealed[4..], SECRET), None);
        assert_eq!(open("", SECRET), None);
    }
}
