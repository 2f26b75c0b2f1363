//! Secure Data Transfer on the wire: what leaves sealed, what comes sealed, and an ARGOS that seals
//! otherwise than we do.

use super::*;
use crate::{
    argos::{RequestShape, wire::settings::ManagementSettings},
    domain::envelope::{Cipher, Gcm},
};

const NONCE: [u8; 16] = *b"0123456789abcdef";
const SEALING: Transfer = Transfer { seal_requests: true, request_shape: RequestShape::Raw };
/// Two ids of [`tokens`].
const BATCH: &str = r#"{"tokenId":["ap-token-0000","ap-token-0001"]}"#;

fn sealing(server: &Server, request_shape: RequestShape) -> Rig {
    let transfer = Transfer { request_shape, ..SEALING };
    let rig = Rig::new(ArgosOptions { transfer, ..options(&server.api_url) });
    rig.pass(3_600);
    rig
}

fn with(cipher: Cipher, key: &str) -> Keyring {
    Keyring::new(cipher, &Secret::new(key.to_owned()), [])
}

fn data(keyring: &Keyring, plain: &str) -> String {
    format!(r#"{{"data":"{}"}}"#, keyring.seal(plain.as_bytes(), &NONCE))
}

/// What ARGOS says to each of the calls.
fn answer(seen: &Seen) -> &'static str {
    let is = |part: &str| seen.line.contains(part);
    if is("type=count") {
        r#"{"success":true,"count":7}"#
    } else if is("tokens?tokenId=") {
        r#"{"success":true,"data":{"tokenId":"ap-token-0000"}}"#
    } else if is("category=") {
        r#"{"item":{"management":{"projectStatus":"open"}}}"#
    } else if is("submission_id=") {
        r#"{"Items":[{"submission_id":"sub-1","kyc":{"result":"approved"}}]}"#
    } else if is("start_date=") {
        r#"{"Items":[{"submission_id":"sub-1"}]}"#
    } else if is("GET ") {
        r#"{"data":["ap-token-0001","ap-token-0002"]}"#
    } else {
        r#"{"success":true,"summary":{"totalSubmitted":2,"currentCount":7}}"#
    }
}

/// Every call there is, and that its answer was understood.
async fn all_is_understood(argos: &Argos) {
    assert_eq!(argos.register(tokens(2)).await, Outcome::Settled(Registered { count: Some(7) }));
    assert_eq!(argos.delete(tokens(2)).await, Outcome::Settled(()));
    assert_eq!(argos.count().await, Outcome::Settled(7));
    assert_eq!(argos.find(tokens(1).remove(0)).await, Outcome::Settled(true));
    let Outcome::Settled(page) = argos.list(None).await else { panic!("no page") };
    assert_eq!(page.tokens.len(), 2);
    let days = Days { first: Timestamp::ZERO, last: Timestamp::ZERO };
    let Outcome::Settled(page) = argos.submissions(days, None).await else { panic!("no page") };
    assert_eq!(page.reports.len(), 1);
    let id = SubmissionId::parse("sub-1").unwrap();
    assert!(matches!(argos.submission(id).await, Outcome::Settled(Some(_))));
    let status = Some("open".to_owned());
    let settings = ManagementSettings { status, ..ManagementSettings::default() };
    assert_eq!(argos.settings().await, Outcome::Settled(settings));
}

#[tokio::test]
async fn bodies_leave_sealed_in_either_shape_and_questions_have_none() {
    let server = Server::start(|seen| ok(answer(seen))).await;
    let envelope = keyring().seal(BATCH.as_bytes(), &NONCE);
    for (shape, body) in [
        (RequestShape::Raw, envelope.clone()),
        (RequestShape::Data, format!(r#"{{"data":"{envelope}"}}"#)),
    ] {
        let before = server.seen().len();
        all_is_understood(&sealing(&server, shape).argos).await;
        let seen = server.seen().split_off(before);
        assert_eq!(seen.len(), 8);
        for (at, request) in seen.iter().enumerate() {
            let carries_ids = at < 2;
            assert_eq!(request.body, if carries_ids { &body } else { "" }, "{}", request.line);
            let content_type = request.headers.get("content-type").map(|it| it.to_str().unwrap());
            assert_eq!(content_type, carries_ids.then_some("text/plain"));
        }
    }
}

#[tokio::test]
async fn sealed_answers_of_every_call_are_read_like_any_other() {
    let gcm = Cipher::Gcm(Gcm::all().last().unwrap());
    for cipher in [transfer::CIPHER, gcm] {
        for bare in [false, true] {
            let server = Server::start(move |seen| {
                let keyring = with(cipher, KEY);
                let envelope = keyring.seal(answer(seen).as_bytes(), &NONCE);
                let body = if bare { envelope } else { data(&keyring, answer(seen)) };
                body.into_response()
            })
            .await;
            let rig = sealing(&server, RequestShape::Raw);
            assert_eq!(rig.argos.transfer_seen(), None);
            all_is_understood(&rig.argos).await;
            assert_eq!((rig.argos.transfer_seen(), rig.argos.unopened()), (Some(true), 0));
            assert!(rig.results().iter().all(|(_, result)| *result == "settled"));
        }
    }
}

#[tokio::test]
async fn a_sealed_error_says_what_it_says_in_the_clear() {
    let deny = r#"{"message":"User is not authorized … with an explicit deny"}"#;
    for (status, plain, label) in [
        (400, r#"{"errorCode":"token_limit_exceeded"}"#, "cap_reached"),
        (400, r#"{"errorCode":"request_token_limit_exceeded"}"#, "too_many"),
        (400, r#"{"errorCode":"invalid_project"}"#, "key_refused"),
        (400, r#"{"errorCode":"token_not_found"}"#, "unclear"),
        (403, deny, "address_refused"),
        (200, r#"{"success":false}"#, "unclear"),
        (200, r#"{"success":true,"summary":{"failed":1}}"#, "unclear"),
    ] {
        let server = Server::start(move |_| {
            (StatusCode::from_u16(status).unwrap(), data(&keyring(), plain)).into_response()
        })
        .await;
        let rig = server.rig();
        let _ = rig.argos.register(tokens(1)).await;
        assert_eq!(rig.results(), [(Operation::Register, label)], "{status} {plain}");
        assert_eq!(rig.argos.transfer_seen(), Some(true));
    }
    let missing = r#"{"errorCode":"token_not_found"}"#;
    let server = Server::start(move |_| {
        (StatusCode::BAD_REQUEST, data(&keyring(), missing)).into_response()
    })
    .await;
    let rig = server.rig();
    assert_eq!(rig.argos.find(tokens(1).remove(0)).await, Outcome::Settled(false));
    assert_eq!(rig.argos.delete(tokens(1)).await, Outcome::Settled(()));
}

#[tokio::test]
async fn an_answer_that_no_key_opens_leaves_the_call_in_doubt() {
    let server = Server::start(|_| {
        data(&with(transfer::CIPHER, "key-0002"), answer_of_a_batch()).into_response()
    })
    .await;
    let rig = sealing(&server, RequestShape::Raw);
    assert!(is_doubtful(&rig.argos.register(tokens(2)).await, DoubtfulCause::Unclear));
    assert!(is_doubtful(&rig.argos.delete(tokens(2)).await, DoubtfulCause::Unclear));
    assert_eq!((rig.argos.transfer_seen(), rig.argos.unopened()), (Some(true), 2));
}

fn answer_of_a_batch() -> &'static str {
    r#"{"success":true,"summary":{"totalSubmitted":2}}"#
}

#[tokio::test]
async fn what_was_sealed_twice_is_in_doubt() {
    let server =
        Server::start(|_| data(&keyring(), &data(&keyring(), answer_of_a_batch())).into_response())
            .await;
    let rig = server.rig();
    assert!(is_doubtful(&rig.argos.register(tokens(2)).await, DoubtfulCause::Unclear));
}

#[tokio::test]
async fn while_keys_are_changed_the_one_before_opens_and_the_new_one_seals() {
    let server = Server::start(|_| data(&keyring(), answer_of_a_batch()).into_response()).await;
    let rig = sealing(&server, RequestShape::Raw);
    let settled = Outcome::Settled(Registered { count: None });
    assert_eq!(rig.argos.register(tokens(2)).await, settled);

    let (new, old) = (Secret::new("key-0002".to_owned()), Secret::new(KEY.to_owned()));
    *rig.envelopes.lock().unwrap() = Keyring::new(transfer::CIPHER, &new, [&old]);
    assert!(rig.argos.set_key(new));
    assert_eq!(rig.argos.register(tokens(2)).await, settled);
    let body = with(transfer::CIPHER, "key-0002").seal(BATCH.as_bytes(), &NONCE);
    assert_eq!(server.seen()[1].body, body);

    *rig.envelopes.lock().unwrap() = with(transfer::CIPHER, "key-0002");
    assert!(is_doubtful(&rig.argos.register(tokens(2)).await, DoubtfulCause::Unclear));
}

/// ARGOS as it may answer a body that it did not expect like this.
async fn strict(argos_seals: bool) -> Server {
    Server::start(move |seen| {
        let bad = |body: &'static str| (StatusCode::BAD_REQUEST, body).into_response();
        let sealed_right = seen.body == keyring().seal(BATCH.as_bytes(), &NONCE);
        match (seen.body.as_str(), argos_seals) {
            ("", _) => ok(answer(seen)),
            (_, true) if sealed_right => data(&keyring(), answer(seen)).into_response(),
            (_, true) => {
                let message = r#"{"errorCode":"Decryption is Failed. Please check the api-key."}"#;
                (StatusCode::INTERNAL_SERVER_ERROR, message).into_response()
            }
            (BATCH, false) => ok(answer(seen)),
            (body, false) if body.starts_with('{') => bad(r#"{"errorCode":"invalid_token_id"}"#),
            (_, false) => bad(r#"{"errorCode":"invalid_payload"}"#),
        }
    })
    .await
}

#[tokio::test]
async fn an_argos_that_seals_otherwise_refuses_and_is_left_alone() {
    for (argos_seals, transfer) in [
        (true, Transfer::default()),
        (true, Transfer { request_shape: RequestShape::Data, ..SEALING }),
        (false, SEALING),
        (false, Transfer { request_shape: RequestShape::Data, ..SEALING }),
    ] {
        let server = strict(argos_seals).await;
        let rig = Rig::new(ArgosOptions { transfer, ..options(&server.api_url) });
        rig.pass(3_600);
        let (register, delete) =
            (rig.argos.register(tokens(2)).await, rig.argos.delete(tokens(2)).await);
        assert!(is_refused(&register, RefusedCause::Transfer), "{argos_seals} {transfer:?}");
        assert!(is_refused(&delete, RefusedCause::Transfer), "{argos_seals} {transfer:?}");
        assert_eq!(rig.argos.health().condition, Condition::TransferRefused);
        assert_eq!(
            rig.argos.admit(Purpose::Refill),
            Err(Hold { retry_after: Duration::from_secs(30) })
        );
        let labels: Vec<_> = rig.results().into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["transfer_refused"; 2]);
    }
    for (argos_seals, transfer) in [(true, SEALING), (false, Transfer::default())] {
        let server = strict(argos_seals).await;
        let rig = Rig::new(ArgosOptions { transfer, ..options(&server.api_url) });
        assert!(matches!(rig.argos.register(tokens(2)).await, Outcome::Settled(_)));
    }
}

#[tokio::test]
async fn questions_that_are_answered_do_not_let_registrations_through() {
    let server = strict(true).await;
    let rig = server.rig();
    rig.pass(3_600);
    assert!(is_refused(&rig.argos.register(tokens(2)).await, RefusedCause::Transfer));
    for _ in 0..3 {
        rig.pass(30);
        assert_eq!(rig.argos.admit(Purpose::Reconcile), Ok(()));
        assert!(rig.argos.admit(Purpose::Refill).is_err(), "one at a time");
        assert_eq!(rig.argos.count().await, Outcome::Settled(7));
        assert_eq!(rig.argos.health().condition, Condition::TransferRefused);
        assert_eq!(rig.argos.admit(Purpose::Refill), Ok(()), "the next one may try at once");
        assert!(is_refused(&rig.argos.register(tokens(2)).await, RefusedCause::Transfer));
        assert!(rig.argos.admit(Purpose::Reconcile).is_err());
    }
}

#[tokio::test]
async fn what_argos_could_not_open_may_be_for_another_key_which_is_read_again() {
    let server = strict(true).await;
    let rig = sealing(&server, RequestShape::Raw);
    *rig.envelopes.lock().unwrap() = with(transfer::CIPHER, "key-before");
    *rig.next_key.lock().unwrap() = Some("key-0002");
    assert!(is_refused(&rig.argos.register(tokens(2)).await, RefusedCause::Transfer));
    assert_eq!(rig.argos.key_changes(), 1);
    assert_eq!(rig.argos.admit(Purpose::Refill), Ok(()), "another key is worth one call");
    *rig.envelopes.lock().unwrap() = keyring();
    assert!(matches!(rig.argos.register(tokens(2)).await, Outcome::Settled(_)));
    assert_eq!(rig.argos.health().condition, Condition::Up);
}

#[tokio::test]
async fn an_answer_that_was_sealed_shows_why_a_plain_body_was_not_understood() {
    let body = r#"{"errorCode":"invalid_payload"}"#;
    let server =
        Server::start(move |_| (StatusCode::BAD_REQUEST, data(&keyring(), body)).into_response())
            .await;
    assert!(is_refused(&server.rig().argos.register(tokens(2)).await, RefusedCause::Transfer));
    let server = Server::start(move |_| (StatusCode::BAD_REQUEST, body).into_response()).await;
    assert!(is_refused(&server.rig().argos.register(tokens(2)).await, RefusedCause::Request));
}

#[tokio::test]
async fn how_argos_is_set_is_seen_from_its_last_answer() {
    let sealed = Arc::new(Mutex::new(false));
    let switch = sealed.clone();
    let server = Server::start(move |seen| {
        if *switch.lock().unwrap() {
            data(&keyring(), answer(seen)).into_response()
        } else {
            ok(answer(seen))
        }
    })
    .await;
    let rig = server.rig();
    for on in [false, true, false] {
        *sealed.lock().unwrap() = on;
        assert_eq!(rig.argos.count().await, Outcome::Settled(7));
        assert_eq!(rig.argos.transfer_seen(), Some(on));
    }
}
