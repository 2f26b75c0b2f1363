//! Bodies and senders that mean no good, or are broken.

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::yield_now,
};

use super::*;
use crate::api::stand::eventually;

const MIB: usize = 1 << 20;

async fn answers(stand: &Stand, cases: &[(&str, Vec<u8>, u16)]) {
    let address = receiver(stand, |parts| parts.body_max = MIB).await;
    for (name, body, status) in cases {
        let found = send(address, "POST /webhooks/argos/new-one", "", body).await;
        assert_eq!(found, *status, "{name}");
    }
}

#[tokio::test]
async fn every_broken_body_has_its_answer() {
    let stand = Stand::ready().await;
    let of = |text: &str| text.as_bytes().to_vec();
    let long = |length: usize| {
        let empty = r#"{"webhook_trigger":"aml","x":""}"#;
        of(&empty.replace(r#""""#, &format!("\"{}\"", "x".repeat(length - empty.len()))))
    };
    let nested = |open: &str, shut: &str| {
        of(&format!(
            r#"{{"webhook_trigger":"aml","x":{}1{}}}"#,
            open.repeat(50_000),
            shut.repeat(50_000)
        ))
    };
    answers(
        &stand,
        &[
            ("empty", of(""), 400),
            ("an array", of(r#"[{"webhook_trigger":"aml"}]"#), 400),
            ("a number", of("17"), 400),
            ("cut off", of(r#"{"webhook_trigger":"aml""#), 400),
            ("two at once", of(r#"{"webhook_trigger":"aml"}{"webhook_trigger":"aml"}"#), 400),
            ("no UTF-8", b"{\"webhook_trigger\":\"aml\",\"x\":\"\xff\xfe\"}".to_vec(), 400),
            ("a NUL", of("{\"webhook_trigger\":\"a\0ml\"}"), 400),
            ("only NULs", vec![0; 4_096], 400),
            ("a trigger that is a number", of(r#"{"webhook_trigger":7}"#), 400),
            ("deep arrays", nested("[", "]"), 400),
            ("deep objects", nested(r#"{"a":"#, "}"), 400),
            (
                "numbers instead of texts",
                of(r#"{"webhook_trigger":"approved","tokenId":1,"submission_id":1e999}"#),
                400,
            ),
            (
                "a key that comes twice",
                of(r#"{"webhook_trigger":"x","webhook_trigger":"aml"}"#),
                200,
            ),
            ("one long text", long(MIB), 200),
            ("a byte too long", long(MIB + 1), 413),
        ],
    )
    .await;
    assert_eq!(counted(&stand, "default", "none", "malformed").await, "12");
    assert_eq!(counted(&stand, "default", "none", "too_large").await, "1");
    assert_eq!(counted(&stand, "default", "aml", "ignored").await, "2");
}

#[tokio::test]
async fn any_content_type_is_read_and_no_other_method() {
    let stand = Stand::ready().await;
    let address = receiver(&stand, |_| ()).await;
    let body = br#"{"webhook_trigger":"aml"}"#;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "image/png", "\"\""] {
        let header = format!("content-type: {kind}\r\n");
        let found = send(address, "POST /webhooks/argos/new-one", &header, body).await;
        assert_eq!(found, 200, "{kind}");
    }
    for method in ["PUT", "GET", "DELETE", "PATCH"] {
        for path in ["/webhooks/argos/new-one", "/webhooks/argos"] {
            let header = "x-webhook-secret: new-one\r\n";
            let found = send(address, &format!("{method} {path}"), header, body).await;
            assert_eq!(found, 405, "{method}");
        }
    }
}

#[tokio::test]
async fn a_body_without_a_length_is_bounded_too() {
    let stand = Stand::ready().await;
    let address = receiver(&stand, |_| ()).await;
    let head = "POST /webhooks/argos/new-one HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                transfer-encoding: chunked\r\n\r\n";
    let chunk = format!("400\r\n{}\r\n", " ".repeat(1_024));
    assert_eq!(ask(address, format!("{head}{}0\r\n\r\n", chunk.repeat(4))).await.0, 400);
    assert_eq!(ask(address, format!("{head}{}0\r\n\r\n", chunk.repeat(5))).await.0, 413);
}

#[tokio::test]
async fn a_body_that_its_sender_broke_off_is_not_too_large() {
    let stand = Stand::ready().await;
    let address = receiver(&stand, |_| ()).await;
    let head = "POST /webhooks/argos/new-one HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n";
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{head}{{\"webhook_trigger\":").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
    eventually(async || counted(&stand, "default", "none", "malformed").await == "1").await;
    assert_eq!(counted(&stand, "default", "none", "too_large").await, "0");
}

fn slow() -> Body {
    Body::from_stream(tokio_stream::pending::<Result<Vec<u8>, std::io::Error>>())
}

#[tokio::test(start_paused = true)]
async fn slow_senders_fill_their_places_and_no_more_and_not_for_long() {
    let stand = Stand::closed(&["default"]);
    let receiver =
        Receiver { parts: parts(&stand), hashes: Vec::new(), places: Semaphore::new(AT_ONCE) };
    let receiver = Arc::new(receiver);
    let senders: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let receiver = receiver.clone();
            tokio::spawn(async move { receiver.take(&receiving("new-one"), slow()).await })
        })
        .collect();
    for _ in 0..1_000 {
        yield_now().await;
    }
    assert_eq!(receiver.places.available_permits(), 0);
    let quick = || Body::from(r#"{"webhook_trigger":"aml"}"#);
    let found = receiver.take(&receiving("new-one"), quick()).await;
    assert_eq!(found, (Trigger::None, End::Unavailable));
    let began = tokio::time::Instant::now();
    for sender in senders {
        assert_eq!(sender.await.unwrap(), (Trigger::None, End::Malformed));
    }
    // The clock of this test goes on by itself, and by exactly what was waited for.
    assert!(began.elapsed() <= Duration::from_secs(5));
    let found = receiver.take(&receiving("new-one"), quick()).await;
    assert_eq!(found, (Trigger::Aml, End::Ignored));
}

#[tokio::test]
async fn an_engine_that_cannot_commit_makes_all_senders_come_again() {
    let stand = Stand::ready().await;
    let address = receiver(&stand, |parts| parts.answer_timeout = Duration::from_millis(50)).await;
    let (token, _) = lease(&stand).await;
    stand.disk("default").hang_commit();
    // More than can be looked at together, so the last ones find every place taken.
    let senders: Vec<_> = (0..AT_ONCE + 16)
        .map(|_| {
            let body = about("approved", &token);
            tokio::spawn(async move { post(address, "new-one", &body).await })
        })
        .collect();
    for sender in senders {
        assert_eq!(sender.await.unwrap(), 503);
    }
    stand.disk("default").release();
    stand.until("default", |status| status.census.leased == 0).await;
    assert_eq!(counted(&stand, "default", "approved", "recorded").await, "0", "nobody heard 200");
}

/// No body stops the receiver, and none is taken for one of another status.
#[tokio::test]
async fn whatever_is_sent_is_answered() {
    let stand = Stand::ready().await;
    let address = receiver(&stand, |_| ()).await;
    let text = "\\PC{0,60}".prop_map(String::into_bytes);
    let bodies = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        text.prop_map(|text| [
            b"{\"webhook_trigger\":\"approved\",\"tokenId\":\"",
            &text[..],
            b"\"}"
        ]
        .concat()),
    ];
    let mut runner = TestRunner::deterministic();
    for _ in 0..100 {
        let body = bodies.new_tree(&mut runner).unwrap().current();
        let found = send(address, "POST /webhooks/argos/new-one", "", &body).await;
        assert!(matches!(found, 200 | 400), "{found} for {body:?}");
    }
    assert_eq!(post(address, "new-one", r#"{"webhook_trigger":"aml"}"#).await, 200);
}
