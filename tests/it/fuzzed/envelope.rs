//! Envelopes: what was sealed opens to itself, and nothing else opens to anything.
//!
//! Two keys, the cipher, a nonce, and how the envelope is damaged go before the text.

use argospool::{
    argos::transfer::{Arrived, RequestShape, Transfer, open},
    domain::{
        envelope::{Cipher, Gcm, Keyring, Nonce, OpenedBy},
        liveform::{envelope_of, said_inside},
        secret::Secret,
    },
};

use super::{
    draw::Draw,
    said,
    sealed::{every_cipher, was_sealed},
};

pub fn holds(bytes: &[u8]) {
    let mut draw = Draw::of(bytes);
    let keys = [draw.text(), draw.text()];
    let cipher = draw.one_of(&every_cipher());
    let nonce: Nonce = std::array::from_fn(|_| draw.byte());
    let (place, change) = (usize::from(draw.byte()), draw.byte());
    let text = draw.rest();
    comes_back(&keys, cipher, &nonce, text);
    damage_is_noticed(&keys[0], cipher, &nonce, text, (place, change));
    travels(&keys[0], cipher, &nonce, text);
    if let Ok(text) = str::from_utf8(text) {
        what_opens_was_sealed(&keys, cipher, text);
    }
}

fn secret(key: &str) -> Secret {
    Secret::new(key.to_owned())
}

fn bytes(plain: &[u8]) -> Option<Vec<u8>> {
    Some(plain.to_vec())
}

/// Under its own key, also when that is an old one, and under no other.
fn comes_back(keys: &[String; 2], cipher: Cipher, nonce: &Nonce, text: &[u8]) {
    let [key, other] = keys.each_ref().map(|key| secret(key));
    let keyring = Keyring::new(cipher, &key, []);
    let envelope = keyring.seal(text, nonce);
    assert_eq!(envelope.len(), cipher.sealed_length(text.len()), "another length than foretold");
    assert!(was_sealed(&keys[0], cipher, text, &envelope), "sealed twice, it differs");
    let opened = keyring.open(&envelope, &[], bytes).expect("an envelope opens");
    assert_eq!((&*opened.content, opened.by), (text, OpenedBy::Current));
    assert_eq!(opened.cipher, cipher);
    let itself = |plain: &[u8]| (plain == text).then_some(());
    let later = Keyring::new(cipher, &other, [&key]);
    let opened =
        later.open(&envelope, &every_cipher(), itself).expect("the old key is known still");
    if keys[0] == keys[1] {
        assert_eq!(opened.by, OpenedBy::Current);
        return;
    }
    assert_eq!((opened.by, opened.cipher), (OpenedBy::Previous(0), cipher));
    let stranger = Keyring::new(cipher, &other, []);
    assert!(stranger.open(&envelope, &every_cipher(), itself).is_none(), "any key opens it");
    if cipher != Cipher::Ecb {
        assert!(stranger.open(&envelope, &[], bytes).is_none(), "GCM takes a wrong key");
    }
}

/// GCM opens nothing of which a symbol changed; ECB gives something else.
fn damage_is_noticed(
    key: &str,
    cipher: Cipher,
    nonce: &Nonce,
    text: &[u8],
    (place, change): (usize, u8),
) {
    let keyring = Keyring::new(cipher, &secret(key), []);
    let mut envelope = keyring.seal(text, nonce).into_bytes();
    let place = place % envelope.len();
    let before = envelope[place];
    envelope[place] = change;
    let case = matches!(cipher, Cipher::Gcm(_)) && before.eq_ignore_ascii_case(&change);
    let Ok(damaged) = str::from_utf8(&envelope) else { return };
    let hex = matches!(cipher, Cipher::Gcm(Gcm { encoding, .. }) if encoding.as_str() == "hex");
    if before == change || hex && case {
        return;
    }
    match keyring.open(damaged, &[], bytes) {
        None => (),
        Some(opened) => {
            assert_eq!(cipher, Cipher::Ecb, "GCM takes what was changed");
            assert_ne!(opened.content, text, "a change was lost");
        }
    }
}

/// Secure Data Transfer takes an object out of what it puts around it, and finds nothing else inside.
fn travels(key: &str, cipher: Cipher, nonce: &Nonce, text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    let keyring = Keyring::new(cipher, &secret(key), []);
    for request_shape in [RequestShape::Raw, RequestShape::Data] {
        let transfer = Transfer { seal_requests: true, request_shape };
        let arrived = open(transfer.seal(text.to_owned(), &keyring, nonce).as_bytes(), &keyring);
        let expected = match said::object(text.as_bytes()) {
            Some(_) => Arrived::Opened(text.as_bytes().to_vec()),
            None => Arrived::Unopened,
        };
        assert!(arrived == expected, "{arrived:?}, and not {expected:?}");
    }
    let keyring = Keyring::new(cipher, &secret("another key"), []);
    if let Arrived::Opened(content) = open(text.as_bytes(), &keyring) {
        assert!(said::object(&content).is_some(), "noise was taken for an object");
    }
}

/// The text itself as an envelope, or as a link around one.
fn what_opens_was_sealed(keys: &[String; 2], cipher: Cipher, text: &str) {
    let [key, other] = keys.each_ref().map(|key| secret(key));
    let keyring = Keyring::new(cipher, &key, [&other]);
    let copied = envelope_of(text);
    for envelope in [Some(text), copied.as_deref()].into_iter().flatten() {
        let Some(opened) = keyring.open(envelope, &every_cipher(), bytes) else { continue };
        let key = match opened.by {
            OpenedBy::Current => &keys[0],
            OpenedBy::Previous(0) => &keys[1],
            OpenedBy::Previous(place) => panic!("there is no key {place}"),
        };
        let sealed = was_sealed(key, opened.cipher, &opened.content, envelope);
        assert!(sealed, "opened, and nobody had sealed it");
        if let Some(said) = said_inside(&opened.content) {
            assert_eq!(said.as_bytes(), opened.content, "to the byte");
        }
    }
}
