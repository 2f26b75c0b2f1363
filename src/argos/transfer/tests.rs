use super::*;
use crate::domain::secret::Secret;

const KEY: &str = "test-api-key-0001";
/// Contract 5.1.
const BATCH: (&str, &str) =
    (r#"{"tokenId":["user001a"]}"#, "8Rk6/ZY7N236SMzuqoJ/UWlqMjjr1XK7PpRszIWUlgo=");
const ANSWER: &str = r#"{"success":true,"count":7}"#;
const NONCE: Nonce = *b"0123456789abcdef";

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn keyring() -> Keyring {
    Keyring::new(CIPHER, &secret(KEY), [&secret("test-api-key-0000")])
}

fn sealed_by(cipher: Cipher, key: &str, plain: &str) -> String {
    Keyring::new(cipher, &secret(key), []).seal(plain.as_bytes(), &NONCE)
}

fn sealed(plain: &str) -> String {
    sealed_by(CIPHER, KEY, plain)
}

fn arrived(body: &str) -> Arrived {
    open(body.as_bytes(), &keyring())
}

fn opened(content: &str) -> Arrived {
    Arrived::Opened(content.as_bytes().to_vec())
}

#[test]
fn a_request_is_sealed_in_the_shape_that_is_asked_for_and_not_otherwise() {
    let (plain, envelope) = BATCH;
    for (seal_requests, request_shape, body) in [
        (false, RequestShape::Raw, plain.to_owned()),
        (false, RequestShape::Data, plain.to_owned()),
        (true, RequestShape::Raw, envelope.to_owned()),
        (true, RequestShape::Data, format!(r#"{{"data":"{envelope}"}}"#)),
    ] {
        let transfer = Transfer { seal_requests, request_shape };
        assert_eq!(transfer.seal(plain.to_owned(), &keyring(), &NONCE), body, "{transfer:?}");
    }
}

#[test]
fn an_envelope_is_found_in_every_shape_it_may_come_in() {
    let envelope = sealed(ANSWER);
    for body in [
        format!(r#"{{"data":"{envelope}"}}"#),
        format!(r#" {{ "traceId": "1", "data" : " {envelope}\n" }} "#),
        format!(r#"{{"data":"{envelope}","webhook_trigger":null,"errorCode":null}}"#),
        format!(r#"{{"data":"{}"}}"#, envelope.replace('/', r"\/")),
        envelope.clone(),
        format!("  {envelope}\r\n"),
        format!(r#""{envelope}""#),
    ] {
        assert_eq!(arrived(&body), opened(ANSWER), "{body}");
    }
}

#[test]
fn every_cipher_under_every_key_opens() {
    for cipher in every_cipher() {
        for key in [KEY, "test-api-key-0000"] {
            let envelope = sealed_by(cipher, key, ANSWER);
            for body in [format!(r#"{{"data":"{envelope}"}}"#), envelope] {
                assert_eq!(arrived(&body), opened(ANSWER), "{cipher:?} {key}");
            }
        }
        let envelope = sealed_by(cipher, "test-api-key-0002", ANSWER);
        for body in [format!(r#"{{"data":"{envelope}"}}"#), envelope] {
            assert_eq!(arrived(&body), Arrived::Unopened, "{cipher:?}");
        }
    }
}

#[test]
fn an_object_that_says_what_it_is_is_no_envelope() {
    for name in TELLING_NAMES {
        let body = format!(r#"{{"{name}":false,"data":"{}"}}"#, sealed(ANSWER));
        assert_eq!(arrived(&body), Arrived::Plain, "{body}");
    }
    for body in [
        "{}",
        ANSWER,
        r#"{"data":7}"#,
        r#"{"data":"7"}"#,
        r#"{"data":""}"#,
        r#"{"data":null}"#,
        r#"{"data":"All of this was written by a person."}"#,
        r#"{"data":[{"tokenId":"kyc-0000001"}]}"#,
        r#"{"data":{"count":7}}"#,
        r#"{"message":"Forbidden"}"#,
    ] {
        assert_eq!(arrived(body), Arrived::Plain, "{body}");
    }
}

#[test]
fn what_is_neither_an_object_nor_an_envelope_is_left_alone() {
    let list = format!(r#"["{}"]"#, sealed(ANSWER));
    let noise =
        ["", " ", "7", "null", "true", "[]", &list, "\"\"", "not json", "Service Unavailable"];
    let more = ["<html>All is well</html>", r#"{"data":"#, &sealed(ANSWER)[1..], "\u{e9}"];
    for body in noise.into_iter().chain(more) {
        assert_eq!(arrived(body), Arrived::Neither, "{body}");
    }
    assert_eq!(open(b"\xff\xfe", &keyring()), Arrived::Neither);
}

/// One wrong key in 256 opens an envelope in ECB, and what it gives is no object.
#[test]
fn what_opens_to_no_object_was_not_opened() {
    for inside in ["", "x", "[]", "null", "\"text\"", r#"{"success":true"#, &sealed(ANSWER)] {
        assert_eq!(arrived(&sealed(inside)), Arrived::Unopened, "{inside}");
    }
    let envelope = sealed(ANSWER);
    let wrong = (0..2_000).map(|key| {
        open(envelope.as_bytes(), &Keyring::new(CIPHER, &secret(&format!("wrong-{key}")), []))
    });
    assert!(wrong.into_iter().all(|arrived| arrived == Arrived::Unopened));
}

#[test]
fn an_envelope_is_opened_once() {
    let inside = format!(r#"{{"data":"{}"}}"#, sealed(ANSWER));
    assert_eq!(arrived(&sealed(&inside)), opened(&inside));
}

/// P1.
#[test]
fn what_was_inside_is_not_printed() {
    assert_eq!(format!("{:?}", opened(ANSWER)), "Opened(…)");
}

#[test]
fn a_contradiction_between_settings_and_answers_is_told_once() {
    let sealing = Transfer { seal_requests: true, ..Transfer::default() };
    let plain = Transfer::default();
    for (ours, arrived, surprise) in [
        (plain, opened(ANSWER), Surprise::SealedAnswers),
        (sealing, Arrived::Plain, Surprise::PlainAnswers),
        (plain, Arrived::Unopened, Surprise::UnopenedAnswers),
        (sealing, Arrived::Unopened, Surprise::UnopenedAnswers),
    ] {
        let mut shown = Shown::default();
        assert_eq!(shown.hear(&arrived, 200, ours), Some(surprise));
        let agreeing = if ours == sealing { opened(ANSWER) } else { Arrived::Plain };
        for arrived in [&arrived, &agreeing, &arrived] {
            assert_eq!(shown.hear(arrived, 200, ours), None, "{surprise:?} was told");
        }
    }
}

#[test]
fn only_a_success_in_the_clear_shows_that_argos_does_not_seal() {
    let sealing = Transfer { seal_requests: true, ..Transfer::default() };
    let mut shown = Shown::default();
    for status in [201, 400, 403, 404, 413, 429, 500, 502, 503] {
        assert_eq!(shown.hear(&Arrived::Plain, status, sealing), None, "{status}");
    }
    assert_eq!(shown.hear(&Arrived::Neither, 200, sealing), None, "a page of a gateway");
    assert_eq!((shown.sealed(), shown.unopened()), (None, 0));

    assert_eq!(shown.hear(&opened(ANSWER), 500, sealing), None);
    assert_eq!((shown.sealed(), shown.unopened()), (Some(true), 0));
    shown.hear(&Arrived::Plain, 403, sealing);
    assert_eq!(shown.sealed(), Some(true), "a gateway answers before anybody seals");
    shown.hear(&Arrived::Plain, 200, sealing);
    assert_eq!(shown.sealed(), Some(false));
    for _ in 0..2 {
        shown.hear(&Arrived::Unopened, 400, sealing);
    }
    assert_eq!((shown.sealed(), shown.unopened()), (Some(true), 2));
}
