//! Webhooks that come in envelopes (contract 3.4).

use super::*;
use crate::domain::envelope::Gcm;

const NONCE: [u8; 16] = *b"0123456789abcdef";

fn envelope(cipher: Cipher, key: &str, plain: &str) -> String {
    Keyring::new(cipher, &Secret::new(key.to_owned()), []).seal(plain.as_bytes(), &NONCE)
}

fn data(cipher: Cipher, key: &str, plain: &str) -> String {
    format!(r#"{{"data":"{}"}}"#, envelope(cipher, key, plain))
}

#[tokio::test]
async fn a_sealed_webhook_is_read_like_any_other_whichever_of_our_keys_sealed_it() {
    let stand = Stand::ready().await;
    let address = receiver(&stand, |_| ()).await;
    let ciphers = [Cipher::Ecb].into_iter().chain(Gcm::all().map(Cipher::Gcm));
    let mut recorded = 0;
    for cipher in ciphers {
        for key in [KEY, KEY_BEFORE] {
            let (token, view) = lease(&stand).await;
            let body = data(cipher, key, &about("approved", &token));
            assert_eq!(post(address, "new-one", &body).await, 200, "{cipher:?} {key}");
            recorded += 1;
            let count = counted(&stand, "default", "approved", "recorded").await;
            assert_eq!(count, recorded.to_string(), "{cipher:?} {key}");
            let found = stand.handle("default").find(Which::Sequence(view.sequence())).await;
            let Some(LeaseView::Closed(line)) = found.unwrap() else { panic!("still open") };
            assert_eq!(line.decided().unwrap().decision, Decision::Approved);
        }
    }
    assert_eq!(counted(&stand, "default", "none", "sealed").await, "0");
}

#[tokio::test]
async fn an_envelope_without_anything_around_it_is_opened_too() {
    let stand = Stand::ready().await;
    let address = receiver(&stand, |_| ()).await;
    let (token, _) = lease(&stand).await;
    let bare = envelope(Cipher::Ecb, KEY, &about("created", &token));
    assert_eq!(post(address, "new-one", &bare).await, 200);
    assert_eq!(counted(&stand, "default", "created", "recorded").await, "1");
    let text = format!("\"{}\"", envelope(Cipher::Ecb, KEY, &about("approved", &token)));
    assert_eq!(post(address, "new-one", &text).await, 200);
    assert_eq!(counted(&stand, "default", "approved", "recorded").await, "1");
}

#[tokio::test]
async fn what_comes_in_the_clear_is_read_while_others_come_sealed() {
    let stand = Stand::ready().await;
    let address = receiver(&stand, |_| ()).await;
    let (token, _) = lease(&stand).await;
    let created = data(Cipher::Ecb, KEY, &about("created", &token));
    assert_eq!(post(address, "new-one", &created).await, 200);
    assert_eq!(post(address, "new-one", &about("approved", &token)).await, 200);
    assert_eq!(counted(&stand, "default", "approved", "recorded").await, "1");
    // One that tells of a change has `data` as well.
    let token = token.expose();
    let updated = format!(
        r#"{{"webhook_trigger":"updated","submission_id":"sub-1","tokenId":"{token}",
            "data":{{"update":["kycStatus"],"kyc_result":"rejected"}}}}"#
    );
    assert_eq!(post(address, "new-one", &updated).await, 200);
    assert_eq!(counted(&stand, "default", "updated", "recorded").await, "1");
}

#[tokio::test]
async fn what_none_of_our_keys_opens_is_sent_again() {
    let stand = Stand::ready().await;
    let address = receiver(&stand, |_| ()).await;
    let (token, _) = lease(&stand).await;
    let gcm = Cipher::Gcm(Gcm::all().next().unwrap());
    let body = about("approved", &token);
    let bodies = [
        data(Cipher::Ecb, "test-api-key-0002", &body),
        data(gcm, "test-api-key-0002", &body),
        envelope(Cipher::Ecb, "test-api-key-0002", &body),
        // It opens, and what is inside is no object.
        data(Cipher::Ecb, KEY, "not a webhook"),
        data(gcm, KEY, "[]"),
        r#"{"data":"c2VhbGVk"}"#.to_owned(),
    ];
    for body in &bodies {
        assert_eq!(post(address, "new-one", body).await, 503, "{body}");
    }
    assert_eq!(counted(&stand, "default", "none", "sealed").await, bodies.len().to_string());
    assert_eq!(counted(&stand, "default", "approved", "recorded").await, "0");
}

#[tokio::test]
async fn what_opens_and_is_no_webhook_need_not_be_sent_again() {
    let stand = Stand::ready().await;
    let address = receiver(&stand, |_| ()).await;
    let (token, _) = lease(&stand).await;
    let twice = data(Cipher::Ecb, KEY, &about("approved", &token));
    for inside in ["{}", r#"{"hello":"world"}"#, r#"{"webhook_trigger":7}"#, &twice] {
        let body = data(Cipher::Ecb, KEY, inside);
        assert_eq!(post(address, "new-one", &body).await, 400, "{inside}");
    }
    assert_eq!(counted(&stand, "default", "none", "malformed").await, "4");
    assert_eq!(counted(&stand, "default", "none", "sealed").await, "0");
}

#[tokio::test]
async fn the_keys_are_those_of_the_project_that_the_secret_names() {
    let stand = Stand::ready().await;
    let other = Arc::new(Keyring::new(Cipher::Ecb, &Secret::new("of-another".to_owned()), []));
    let address = receiver(&stand, |parts| {
        parts.receiving[0].envelopes = Arc::new(move || other.clone());
    })
    .await;
    let (token, _) = lease(&stand).await;
    let body = data(Cipher::Ecb, "of-another", &about("approved", &token));
    assert_eq!(post(address, "new-one", &body).await, 503);
    assert_eq!(post(address, "old-one", &body).await, 200);
}

#[tokio::test]
async fn a_key_that_is_replaced_opens_from_then_on() {
    let stand = Stand::ready().await;
    let used = Arc::new(std::sync::Mutex::new(Arc::new(keyring(Cipher::Ecb, KEY))));
    let current = used.clone();
    let address = receiver(&stand, move |parts| {
        parts.receiving[1].envelopes = Arc::new(move || current.lock().unwrap().clone());
    })
    .await;
    let (token, _) = lease(&stand).await;
    let body = data(Cipher::Ecb, "test-api-key-0002", &about("approved", &token));
    assert_eq!(post(address, "new-one", &body).await, 503);
    *used.lock().unwrap() = Arc::new(keyring(Cipher::Ecb, "test-api-key-0002"));
    assert_eq!(post(address, "new-one", &body).await, 200);
}
