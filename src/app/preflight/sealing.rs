//! Whether envelopes come out as ARGOS wants them: four known answers, and the configured keys there
//! and back.

use super::{Examiner, failed, passed};
use crate::{
    domain::{
        envelope::{Cipher, Keyring, Nonce},
        secret::Secret,
    },
    port::Finding,
};

const NAME: &str = "sealing";

/// Key text, and what OpenSSL and Node make of these under it (contract 5.1).
const KEY_TEXT: &str = "test-api-key-0001";
const KNOWN: [(&str, &str); 4] = [
    (r#"{"tokenId":["user001a"]}"#, "8Rk6/ZY7N236SMzuqoJ/UWlqMjjr1XK7PpRszIWUlgo="),
    (r#"{"allowedCountries":"USA,KOR"}"#, "qGTQCmRVn52wBK8R0hf7+L6AzRhKFt/7o0c4+otAlP4="),
    (
        r#"{"webhook_trigger":"token_expired","token_id":"abcd1234"}"#,
        "uoirkSBQimoTaJHNSMCJf5nuwnB/+juJGNiIlYAQ2Xbru8XirNyKiGDb6pk65xNam/PKOor45DflVLjsG8ulJw==",
    ),
    ("0123456789abcdef", "OyOu0D2bwV7ryFRQiCarA6se4KL3NlG7ICYQfiKKlEE="),
];

impl Examiner {
    pub(super) fn sealing(&self) -> Finding {
        let mut entropy = (self.entropy)();
        let keyrings = [self.keys.links()(), self.keys.envelopes()()];
        let back = keyrings.iter().all(|keyring| {
            let nonce = keyring.cipher().nonce(entropy.as_mut());
            comes_back(keyring, &nonce)
        });
        verdict(known_answers(), back, keyrings[0].cipher())
    }
}

fn verdict(known: bool, back: bool, cipher: Cipher) -> Finding {
    let name = cipher.as_str();
    match (known, back) {
        (true, true) => {
            passed(NAME, format!("known answers are met; links go there and back by {name}"))
        }
        (false, _) => {
            failed(NAME, "known answers are not met", "this binary is broken: install it again")
        }
        (true, false) => failed(
            NAME,
            format!("what is sealed by {name} does not open again"),
            "this binary is broken: install it again",
        ),
    }
}

/// Both ways, because a mistake that is made twice cancels itself out.
fn known_answers() -> bool {
    let keyring = Keyring::new(Cipher::Ecb, &Secret::new(KEY_TEXT.to_owned()), []);
    KNOWN.iter().all(|(plain, sealed)| {
        let read = |bytes: &[u8]| (bytes == plain.as_bytes()).then_some(());
        keyring.seal(plain.as_bytes(), &Nonce::default()) == *sealed
            && keyring.open(sealed, &[], read).is_some()
    })
}

fn comes_back(keyring: &Keyring, nonce: &Nonce) -> bool {
    KNOWN.iter().all(|(plain, _)| {
        let sealed = keyring.seal(plain.as_bytes(), nonce);
        let read = |bytes: &[u8]| (bytes == plain.as_bytes()).then_some(());
        !sealed.contains(plain) && keyring.open(&sealed, &[], read).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::envelope::Gcm, port::CheckResult};

    #[test]
    fn known_answers_are_met_and_every_cipher_opens_what_it_sealed() {
        assert!(known_answers());
        let key = Secret::new("a key".to_owned());
        for cipher in std::iter::once(Cipher::Ecb).chain(Gcm::all().map(Cipher::Gcm)) {
            assert!(comes_back(&Keyring::new(cipher, &key, []), &[7; 16]), "{cipher:?}");
        }
    }

    #[test]
    fn one_answer_that_is_not_met_fails() {
        let result = |known, back| verdict(known, back, Cipher::Ecb).result;
        assert_eq!(result(true, true), CheckResult::Passed);
        for (known, back) in [(false, true), (true, false), (false, false)] {
            assert_eq!(result(known, back), CheckResult::Failed);
        }
    }
}
