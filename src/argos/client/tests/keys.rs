//! Keys that are refused and keys that are replaced.

use super::*;

#[tokio::test]
async fn a_refused_key_is_read_again_and_the_next_call_uses_the_new_one() {
    let server = Server::start(|seen| {
        if seen.headers["x-api-key"] == "key-0002" {
            ok(r#"{"success":true,"count":7}"#)
        } else {
            (StatusCode::FORBIDDEN, r#"{"message":"Forbidden"}"#).into_response()
        }
    })
    .await;
    let rig = server.rig();
    rig.pass(3_600);

    // Nothing else to offer, and then the same one: the circuit stays open.
    for offered in [None, Some(KEY)] {
        *rig.next_key.lock().unwrap() = offered;
        assert!(is_refused(&rig.argos.count().await, RefusedCause::Key));
        assert_eq!(rig.argos.health().condition, Condition::KeyRefused);
        assert_eq!(
            rig.argos.admit(Purpose::Reconcile),
            Err(Hold { retry_after: Duration::from_secs(30) })
        );
    }
    assert_eq!(rig.argos.key_changes(), 0);

    *rig.next_key.lock().unwrap() = Some("key-0002");
    assert!(is_refused(&rig.argos.count().await, RefusedCause::Key));
    assert_eq!(rig.argos.key_changes(), 1);
    assert_eq!(server.seen().len(), 3, "the refused call is not repeated");
    assert_eq!(rig.argos.admit(Purpose::Reconcile), Ok(()));
    assert_eq!(rig.argos.count().await, Outcome::Settled(7));
    assert_eq!(rig.argos.health().condition, Condition::Up);
}

#[tokio::test]
async fn a_refused_address_is_no_reason_to_read_the_key_again() {
    let deny =
        r#"{"Message":"User is not authorized to access this resource with an explicit deny"}"#;
    let server = Server::start(move |_| (StatusCode::FORBIDDEN, deny).into_response()).await;
    let rig = server.rig();
    rig.pass(3_600);
    *rig.next_key.lock().unwrap() = Some("key-0002");
    assert!(is_refused(&rig.argos.count().await, RefusedCause::Address));
    assert_eq!(rig.argos.key_changes(), 0);
    assert_eq!(rig.argos.health().condition, Condition::AddressRefused);
    assert!(rig.argos.admit(Purpose::Reconcile).is_err());
    rig.pass(30);
    assert_eq!(rig.argos.admit(Purpose::Reconcile), Ok(()), "it is tried again");
}

#[tokio::test]
async fn a_key_that_was_replaced_by_hand_is_tried_at_once() {
    let server = Server::start(|_| StatusCode::FORBIDDEN.into_response()).await;
    let rig = server.rig();
    rig.pass(3_600);
    assert!(is_refused(&rig.argos.count().await, RefusedCause::Key));
    assert!(rig.argos.admit(Purpose::Reconcile).is_err());
    assert!(rig.argos.set_key(Secret::new("key-0002".to_owned())));
    assert_eq!(rig.argos.admit(Purpose::Reconcile), Ok(()));
}

#[tokio::test]
async fn the_refusal_of_a_key_that_was_replaced_meanwhile_holds_nothing_back() {
    let wire = Wire::bind().await;
    let rig = Rig::new(options(&wire.api_url));
    rig.pass(3_600);
    let (outcome, ()) = tokio::join!(rig.argos.register(tokens(1)), async {
        let mut stream = wire.next_request().await;
        assert!(rig.argos.set_key(Secret::new("key-0002".to_owned())));
        stream.write_all(b"HTTP/1.1 403 \r\ncontent-length: 0\r\n\r\n").await.unwrap();
    });
    assert!(is_refused(&outcome, RefusedCause::Key));
    assert_eq!(rig.argos.admit(Purpose::Refill), Ok(()));
}

#[tokio::test]
async fn a_key_is_replaced_at_run_time_unless_it_cannot_be_sent() {
    let server = Server::start(|_| ok(r#"{"count":7}"#)).await;
    let rig = server.rig();
    for (text, replaced) in [(KEY, false), ("", false), ("two\nlines", false), ("key-0002", true)] {
        assert_eq!(rig.argos.set_key(Secret::new(text.to_owned())), replaced, "{text:?}");
    }
    assert_eq!(rig.argos.count().await, Outcome::Settled(7));
    assert_eq!(server.seen()[0].headers["x-api-key"], "key-0002");
}
