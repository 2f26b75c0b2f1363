use std::collections::BTreeSet;

use super::*;

const NONCE: Nonce = *b"0123456789abcdef";

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn keyring(cipher: Cipher) -> Keyring {
    Keyring::new(cipher, &secret("test-api-key-0001"), [])
}

fn text(plain: &[u8]) -> Option<String> {
    String::from_utf8(plain.to_vec()).ok()
}

fn every_cipher() -> impl Iterator<Item = Cipher> {
    std::iter::once(Cipher::Ecb).chain(Gcm::all().map(Cipher::Gcm))
}

#[test]
fn ciphers_and_their_shapes_are_called_as_the_configuration_spells_them() {
    let ciphers = every_cipher().map(Cipher::as_str).collect::<BTreeSet<_>>();
    assert_eq!(ciphers, BTreeSet::from(["ecb", "gcm"]));
    let layouts = ["nonce_ciphertext_tag", "nonce_tag_ciphertext", "ciphertext_tag_nonce"];
    assert_eq!(Layout::ALL.map(Layout::as_str), layouts);
    assert_eq!(Encoding::ALL.map(Encoding::as_str), ["base64", "hex"]);
}

/// Contract 5.1.
#[test]
fn the_vectors_of_the_contract_seal_and_open() {
    let vectors = [
        (r#"{"tokenId":["user001a"]}"#, "8Rk6/ZY7N236SMzuqoJ/UWlqMjjr1XK7PpRszIWUlgo="),
        (r#"{"allowedCountries":"USA,KOR"}"#, "qGTQCmRVn52wBK8R0hf7+L6AzRhKFt/7o0c4+otAlP4="),
        (
            r#"{"webhook_trigger":"token_expired","token_id":"abcd1234"}"#,
            "uoirkSBQimoTaJHNSMCJf5nuwnB/+juJGNiIlYAQ2Xbru8XirNyKiGDb6pk65xNam/PKOor45DflVLjsG8ulJw==",
        ),
        ("0123456789abcdef", "OyOu0D2bwV7ryFRQiCarA6se4KL3NlG7ICYQfiKKlEE="),
    ];
    let keyring = keyring(Cipher::Ecb);
    for (plain, sealed) in vectors {
        assert_eq!(keyring.seal(plain.as_bytes(), &NONCE), sealed);
        assert_eq!(keyring.open(sealed, &[], text).unwrap().content, plain);
    }
}

#[test]
fn every_cipher_opens_what_it_sealed_and_knows_how_long_it_gets() {
    for cipher in every_cipher() {
        for length in [0, 1, 15, 16, 17, 31, 32, 1_000] {
            let plain = "x".repeat(length);
            let sealed = keyring(cipher).seal(plain.as_bytes(), &NONCE);
            assert_eq!(sealed.len(), cipher.sealed_length(length), "{cipher:?}");
            let opened = keyring(cipher).open(&sealed, &[], text).unwrap();
            assert_eq!((opened.content, opened.by), (plain, OpenedBy::Current), "{cipher:?}");
        }
    }
}

#[test]
fn a_gcm_envelope_opens_in_no_other_shape_and_not_when_a_bit_was_changed() {
    for cipher in Gcm::all() {
        let sealed = keyring(Cipher::Gcm(cipher)).seal(b"a plaintext of some length", &NONCE);
        for other in Gcm::all().filter(|other| *other != cipher) {
            let opened = keyring(Cipher::Gcm(other)).open(&sealed, &[], text);
            assert!(opened.is_none(), "{cipher:?} opened as {other:?}");
        }
        for place in [0, sealed.len() / 2, sealed.len() - 4] {
            let mut changed = sealed.clone().into_bytes();
            changed[place] = if changed[place] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(keyring(Cipher::Gcm(cipher)).open(&changed, &[], text).is_none());
        }
    }
}

#[test]
fn gcm_seals_differently_with_every_nonce_and_ecb_needs_none() {
    struct Counted(u8);
    impl Entropy for Counted {
        fn fill(&mut self, bytes: &mut [u8]) {
            self.0 += 1;
            bytes.fill(self.0);
        }
    }
    let mut entropy = Counted(0);
    assert_eq!(Cipher::Ecb.nonce(&mut entropy), Nonce::default());
    assert_eq!(entropy.0, 0);
    for gcm in Gcm::all().map(Cipher::Gcm) {
        let mut seal = || keyring(gcm).seal(b"the same", &gcm.nonce(&mut entropy));
        assert_ne!(seal(), seal());
    }
}

#[test]
fn what_was_sealed_with_an_earlier_key_opens_while_keys_are_changed() {
    let (old, older, new) = (secret("old"), secret("older"), secret("new"));
    for cipher in every_cipher() {
        let keyring = Keyring::new(cipher, &new, [&old, &older]);
        let sealed = Keyring::new(cipher, &older, []).seal(b"{}", &NONCE);
        let opened = keyring.open(&sealed, &[], |plain| (plain == b"{}").then_some(())).unwrap();
        assert_eq!(opened.by, OpenedBy::Previous(1));
        let resealed = keyring.seal(b"{}", &NONCE);
        assert!(Keyring::new(cipher, &new, []).open(&resealed, &[], text).is_some());
    }
}

#[test]
fn what_comes_sealed_otherwise_opens_with_the_other_ciphers() {
    let gcm = Cipher::Gcm(Gcm::all().next().unwrap());
    let sealed = keyring(gcm).seal(b"{}", &NONCE);
    let read = |plain: &[u8]| (plain == b"{}").then_some(());
    assert!(keyring(Cipher::Ecb).open(&sealed, &[], read).is_none());
    assert_eq!(keyring(Cipher::Ecb).open(&sealed, &[gcm], read).unwrap().cipher, gcm);
}

#[test]
fn garbage_opens_nothing() {
    for cipher in every_cipher() {
        for garbage in ["", "=", "====", "not base64 at all", "AAAA", &"A".repeat(24), "é"] {
            let read = |plain: &[u8]| serde_json::from_slice::<serde_json::Value>(plain).ok();
            assert!(keyring(cipher).open(garbage, &[], read).is_none(), "{cipher:?} {garbage}");
        }
    }
}

/// P1.
#[test]
fn a_keyring_prints_no_key() {
    let printed = format!("{:?}", keyring(Cipher::Ecb));
    assert_eq!(printed, "Keyring(Ecb, …)");
}
