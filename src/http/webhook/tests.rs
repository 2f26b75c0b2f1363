use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use tokio::net::TcpListener;

use super::*;
use crate::{
    api::stand::{Page, Stand, links},
    domain::{
        envelope::Cipher,
        ids::{Owner, TokenId},
        pool::Wanted,
        token::{Decision, Ending, Grant, Labels},
    },
    engine::{LeaseView, Which},
    http::{serve, tests::ask},
};

mod hostile;
mod sealed;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const KEY: &str = "test-api-key-0001";
const KEY_BEFORE: &str = "test-api-key-0000";

/// The default project, which the secret stands for.
fn receiving(secret: &str) -> Receiving {
    let keyring = Arc::new(keyring(transfer::CIPHER, KEY));
    Receiving {
        project: ProjectName::parse("default").unwrap(),
        secret: Secret::new(secret.to_owned()),
        envelopes: Arc::new(move || keyring.clone()),
    }
}

fn keyring(cipher: Cipher, key: &str) -> Keyring {
    Keyring::new(cipher, &Secret::new(key.to_owned()), [&Secret::new(KEY_BEFORE.to_owned())])
}

fn parts(stand: &Stand) -> ReceiverParts {
    ReceiverParts {
        pools: stand.pools.clone(),
        metrics: stand.metrics.clone(),
        clock: stand.clock.clone(),
        receiving: ["old-one", "new-one"].map(receiving).into(),
        allowed: Arc::new(|source| source == LOCAL),
        trusted_proxies: Arc::new(|_| false),
        body_max: 4_096,
        answer_timeout: Duration::from_secs(5),
    }
}

/// A receiver on a port of its own.
async fn receiver(stand: &Stand, change: impl FnOnce(&mut ReceiverParts)) -> SocketAddr {
    let mut parts = parts(stand);
    change(&mut parts);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, webhooks(parts), stand.stop.clone()));
    address
}

async fn post(address: SocketAddr, secret: &str, body: &str) -> u16 {
    post_with(address, secret, body, "").await
}

async fn post_with(address: SocketAddr, secret: &str, body: &str, header: &str) -> u16 {
    send(address, &format!("POST /webhooks/argos/{secret}"), header, body.as_bytes()).await
}

/// A request with a body that is whole; headers end with a line break each.
async fn send(address: SocketAddr, line: &str, headers: &str, body: &[u8]) -> u16 {
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\
         connection: close\r\n{headers}\r\n"
    );
    ask(address, [head.as_bytes(), body].concat()).await.0
}

async fn lease(stand: &Stand) -> (TokenId, LeaseView) {
    let grant = Grant {
        owner: Owner::parse("token:web").unwrap(),
        request: None,
        labels: Labels::default(),
    };
    let ttl = Duration::from_secs(600);
    let wanted = Wanted { grant, ttl, draft: Some(links("default").blank()) };
    let leases = stand.handle("default").lease(vec![wanted], Duration::ZERO).await.unwrap();
    let LeaseView::Open { token, .. } = &leases[0] else { panic!("closed at once") };
    (token.clone(), leases[0].clone())
}

fn about(trigger: &str, token: &TokenId) -> String {
    format!(
        r#"{{"webhook_trigger":"{trigger}","submission_id":"sub-1","tokenId":"{}"}}"#,
        token.expose()
    )
}

async fn counted(stand: &Stand, project: &str, trigger: &str, result: &str) -> String {
    let text = stand.scraped().await;
    let series = format!(
        "argospool_webhooks_total{{project=\"{project}\",result=\"{result}\",trigger=\"{trigger}\"}} "
    );
    let found = text.lines().find_map(|line| line.strip_prefix(&series));
    found.unwrap_or("none").to_owned()
}

#[tokio::test]
async fn a_decision_is_on_record_when_argos_hears_200() {
    let stand = Stand::ready().await;
    let address = receiver(&stand, |_| ()).await;
    let (token, view) = lease(&stand).await;
    assert_eq!(post(address, "new-one", &about("created", &token)).await, 200);
    assert_eq!(post(address, "old-one", &about("approved", &token)).await, 200);
    let found = stand.handle("default").find(Which::Sequence(view.sequence())).await.unwrap();
    let Some(LeaseView::Closed(line)) = found else { panic!("still open") };
    assert_eq!(
        (line.ending, line.decided().unwrap().decision),
        (Ending::Decided, Decision::Approved)
    );
    assert_eq!(line.submissions.shown().unwrap().as_str(), "sub-1");
    assert_eq!(counted(&stand, "default", "approved", "recorded").await, "1");

    assert_eq!(post(address, "new-one", &about("approved", &token)).await, 200);
    assert_eq!(counted(&stand, "default", "approved", "known").await, "1");
}

#[tokio::test]
async fn a_result_without_a_token_finds_its_lease_by_the_submission() {
    let stand = Stand::ready().await;
    let address = receiver(&stand, |_| ()).await;
    let (token, view) = lease(&stand).await;
    assert_eq!(post(address, "new-one", &about("created", &token)).await, 200);
    let nameless = r#"{"webhook_trigger":"approved","submission_id":"sub-1"}"#;
    assert_eq!(post(address, "new-one", nameless).await, 200);
    assert_eq!(counted(&stand, "default", "approved", "recorded").await, "1");
    let found = stand.handle("default").find(Which::Sequence(view.sequence())).await.unwrap();
    let Some(LeaseView::Closed(line)) = found else { panic!("still open") };
    assert_eq!(line.decided().unwrap().decision, Decision::Approved);

    let strange = r#"{"webhook_trigger":"approved","submission_id":"sub-2"}"#;
    assert_eq!(post(address, "new-one", strange).await, 200);
    assert_eq!(counted(&stand, "default", "approved", "asked").await, "1");
}

#[tokio::test]
async fn an_old_webhook_that_is_sent_again_changes_nothing() {
    let stand = Stand::ready().await;
    let address = receiver(&stand, |_| ()).await;
    let (token, view) = lease(&stand).await;
    let dated = |trigger: &str, at: &str| {
        let token = token.expose();
        format!(
            r#"{{"webhook_trigger":"{trigger}","submission_id":"sub-1","tokenId":"{token}",
                "kyc_result":{{"status":"{trigger}","updated_at":"{at}"}}}}"#
        )
    };
    let old = dated("approved", "2026-01-12T02:23:13Z");
    let new = dated("rejected", "2026-01-12-12-00-00-KST");
    for (body, trigger, result, times) in [
        (&old, "approved", "recorded", "1"),
        (&new, "rejected", "recorded", "1"),
        (&old, "approved", "known", "1"),
        (&old, "approved", "known", "2"),
        (&new, "rejected", "known", "1"),
    ] {
        assert_eq!(post(address, "new-one", body).await, 200, "{trigger} {result}");
        assert_eq!(counted(&stand, "default", trigger, result).await, times);
    }
    let found = stand.handle("default").find(Which::Sequence(view.sequence())).await.unwrap();
    let Some(LeaseView::Closed(line)) = found else { panic!("still open") };
    assert_eq!(line.decided().unwrap().decision, Decision::Rejected);
}

#[tokio::test]
async fn the_end_of_a_token_is_recorded() {
    let stand = Stand::ready().await;
    let address = receiver(&stand, |_| ()).await;
    let (token, view) = lease(&stand).await;
    let expired = |more: &str| {
        let token = token.expose();
        format!(
            r#"{{"webhook_trigger":"token_expired","token_id":"{token}","service":"idCheck",{more}}}"#
        )
    };
    let ahead =
        expired(r#""expired_condition":"time","expected_expired_at":"2099-01-13T02:23:13.588Z""#);
    assert_eq!(post(address, "new-one", &ahead).await, 200);
    assert_eq!(counted(&stand, "default", "token_expired", "recorded").await, "1");
    let find = || stand.handle("default").find(Which::Sequence(view.sequence()));
    let Some(LeaseView::Open { lease, .. }) = find().await.unwrap() else { panic!("closed") };
    assert_eq!((lease.started, lease.expires.is_some()), (None, true), "it is no sign of use");

    let used = expired(r#""expired_condition":"count""#);
    assert_eq!(post(address, "new-one", &used).await, 200);
    let Some(LeaseView::Open { lease, .. }) = find().await.unwrap() else { panic!("closed") };
    let started = lease.started.unwrap();
    assert_eq!(started.entry_ends, started.at, "nobody else enters, and who is there stays");

    let face = used.replace("idCheck", "faceAuth");
    assert_eq!(post(address, "new-one", &face).await, 200);
    assert_eq!(counted(&stand, "default", "token_expired", "ignored").await, "1");
}

#[tokio::test]
async fn a_proxy_may_move_the_secret_into_a_header() {
    let stand = Stand::ready().await;
    let address = receiver(&stand, |_| ()).await;
    let (token, _) = lease(&stand).await;
    let body = about("approved", &token);
    let line = "POST /webhooks/argos";
    for header in ["", "x-webhook-secret: \r\n", "x-webhook-secret: wrong\r\n"] {
        assert_eq!(send(address, line, header, body.as_bytes()).await, 404, "{header}");
    }
    assert_eq!(counted(&stand, "-", "none", "wrong_secret").await, "3");
    let header = "X-Webhook-Secret: new-one\r\n";
    assert_eq!(send(address, line, header, body.as_bytes()).await, 200);
    assert_eq!(counted(&stand, "default", "approved", "recorded").await, "1");
    // What stands in the path counts.
    assert_eq!(post_with(address, "wrong", &body, header).await, 404);
}

#[tokio::test]
async fn what_does_not_concern_us_is_acknowledged_and_counted() {
    let stand = Stand::ready().await;
    let address = receiver(&stand, |_| ()).await;
    let stranger = TokenId::parse("kyc-000000000001a").unwrap();
    for (body, trigger, result) in [
        (about("approved", &stranger), "approved", "foreign"),
        (about("delete", &stranger), "delete", "ignored"),
        (about("token_expired", &stranger), "token_expired", "ignored"),
        (about("brand_new", &stranger), "other", "ignored"),
        (r#"{"webhook_trigger":"rejected"}"#.to_owned(), "rejected", "no_token"),
    ] {
        assert_eq!(post(address, "new-one", &body).await, 200, "{trigger}");
        assert_eq!(counted(&stand, "default", trigger, result).await, "1", "{trigger}");
    }
}

#[tokio::test]
async fn a_wrong_secret_finds_nothing() {
    let stand = Stand::ready().await;
    let address = receiver(&stand, |_| ()).await;
    let (token, _) = lease(&stand).await;
    for secret in ["wrong", "new-on", "new-one2", "NEW-ONE"] {
        assert_eq!(post(address, secret, &about("approved", &token)).await, 404, "{secret}");
    }
    assert_eq!(counted(&stand, "-", "none", "wrong_secret").await, "4");
    assert_eq!(
        ask(
            address,
            "GET /webhooks/argos/new-one HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        )
        .await
        .0,
        405
    );
}

#[tokio::test]
async fn a_sender_that_is_not_on_the_list_is_turned_away() {
    let stand = Stand::ready().await;
    let argos: IpAddr = "52.78.194.237".parse().unwrap();
    let only_argos = move |parts: &mut ReceiverParts| {
        parts.allowed = Arc::new(move |source| source == argos);
    };
    let address = receiver(&stand, only_argos).await;
    let forwarded = "x-forwarded-for: 52.78.194.237\r\n";
    assert_eq!(post_with(address, "new-one", "{}", forwarded).await, 403);
    let behind_a_proxy = move |parts: &mut ReceiverParts| {
        parts.allowed = Arc::new(move |source| source == argos);
        parts.trusted_proxies = Arc::new(|source| source == LOCAL);
    };
    let address = receiver(&stand, behind_a_proxy).await;
    let body = r#"{"webhook_trigger":"aml"}"#;
    assert_eq!(post_with(address, "new-one", body, forwarded).await, 200);
    assert_eq!(post_with(address, "new-one", body, "x-forwarded-for: junk\r\n").await, 403);
    assert_eq!(post(address, "new-one", body).await, 403);
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused() {
    let stand = Stand::ready().await;
    let address = receiver(&stand, |_| ()).await;
    assert_eq!(post(address, "new-one", "not json").await, 400);
    assert_eq!(post(address, "new-one", r#"{"hello":"world"}"#).await, 400);
    assert_eq!(post(address, "new-one", r#"{"data":"c2VhbGVk"}"#).await, 503);
    let long = format!(r#"{{"webhook_trigger":"aml","record":"{}"}}"#, "x".repeat(4_096));
    assert_eq!(post(address, "new-one", &long).await, 413);
}

#[tokio::test]
async fn argos_sends_again_what_could_not_be_committed() {
    let stand = Stand::ready().await;
    let address = receiver(&stand, |parts| parts.answer_timeout = Duration::from_millis(50)).await;
    let (token, _) = lease(&stand).await;
    stand.disk("default").hang_commit();
    assert_eq!(post(address, "new-one", &about("approved", &token)).await, 503);
    assert_eq!(counted(&stand, "default", "approved", "unavailable").await, "1");
    stand.disk("default").release();
    stand.until("default", |status| status.census.leased == 0).await;
    let address = receiver(&stand, |_| ()).await;
    assert_eq!(post(address, "new-one", &about("approved", &token)).await, 200);
}

#[tokio::test]
async fn a_ledger_that_is_not_open_yet_makes_argos_send_again() {
    let stand = Stand::ready().await;
    let closed = Stand::closed(&["default"]);
    let pools = closed.pools.clone();
    let address = receiver(&stand, move |parts| parts.pools = pools).await;
    let token = TokenId::parse("kyc-000000000001a").unwrap();
    assert_eq!(post(address, "new-one", &about("approved", &token)).await, 503);
}

/// P1: it says what kind of news it was and what became of it, and nothing of what it says.
#[tokio::test]
async fn a_webhook_is_a_span_that_says_what_became_of_it() {
    let page = Page::default();
    let writer = page.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let stand = Stand::ready().await;
    let address = receiver(&stand, |_| ()).await;
    let (token, _) = lease(&stand).await;
    assert_eq!(post(address, "new-one", &about("created", &token)).await, 200);
    let log = page.text();
    let span = log.lines().find(|line| line.contains("webhook{")).unwrap();
    for part in ["project=default", "trigger=\"created\"", "heard=\"recorded\""] {
        assert!(span.contains(part), "{part}\n{span}");
    }
    assert!(!log.contains(token.expose()) && !log.contains("new-one"), "{log}");
}
