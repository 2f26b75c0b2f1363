//! How calls break off, and that nothing repeats them.

use super::*;

#[tokio::test]
async fn a_call_without_a_connection_was_not_sent() {
    let api_url = Wire::bind().await.api_url;
    let rig = Rig::new(options(&api_url));
    assert!(is_refused(&rig.argos.register(tokens(1)).await, RefusedCause::NotSent));
    assert_eq!(rig.results(), [(Operation::Register, "not_sent")]);
    assert_eq!(rig.argos.health().condition, Condition::Failing);
}

#[tokio::test]
async fn a_connection_that_breaks_after_sending_leaves_the_call_unanswered_and_unrepeated() {
    let wire = Wire::bind().await;
    let rig = Rig::new(options(&wire.api_url));
    let (outcome, ()) = tokio::join!(rig.argos.register(tokens(1)), async {
        drop(wire.next_request().await);
    });
    assert!(is_doubtful(&outcome, DoubtfulCause::Unanswered));

    // The next connection that the server sees is that of the next call.
    let (outcome, ()) = tokio::join!(rig.argos.register(tokens(1)), async {
        let mut stream = wire.next_request().await;
        stream.write_all(b"HTTP/1.1 429 \r\ncontent-length: 0\r\n\r\n").await.unwrap();
    });
    assert!(is_refused(&outcome, RefusedCause::Throttled));
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_no_open_connection() {
    let wire = Wire::bind().await;
    let rig = Rig::new(ArgosOptions {
        request_timeout: Duration::from_millis(200),
        ..options(&wire.api_url)
    });
    let (outcome, closed) = tokio::join!(rig.argos.register(tokens(1)), async {
        is_closed(wire.next_request().await).await
    });
    assert!(is_doubtful(&outcome, DoubtfulCause::Unanswered));
    assert!(closed);
}

#[tokio::test]
async fn an_answer_that_stops_in_the_middle_is_no_answer() {
    let wire = Wire::bind().await;
    let rig = Rig::new(ArgosOptions {
        request_timeout: Duration::from_millis(200),
        ..options(&wire.api_url)
    });
    let begin = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"success\":true";
    let (outcome, closed) = tokio::join!(rig.argos.register(tokens(1)), async {
        let mut stream = wire.next_request().await;
        stream.write_all(begin).await.unwrap();
        is_closed(stream).await
    });
    assert!(is_doubtful(&outcome, DoubtfulCause::Unanswered));
    assert!(closed);

    let (outcome, ()) = tokio::join!(rig.argos.register(tokens(1)), async {
        wire.next_request().await.write_all(begin).await.unwrap();
    });
    assert!(is_doubtful(&outcome, DoubtfulCause::Unanswered));
    assert_eq!(rig.results(), [(Operation::Register, "unanswered"); 2]);
}

#[tokio::test]
async fn what_is_no_http_is_no_answer() {
    let wire = Wire::bind().await;
    let rig = Rig::new(options(&wire.api_url));
    let (outcome, ()) = tokio::join!(rig.argos.register(tokens(1)), async {
        wire.next_request().await.write_all(b"220 mail.example ready\r\n").await.unwrap();
    });
    assert!(is_doubtful(&outcome, DoubtfulCause::Unanswered));
}

#[tokio::test]
async fn every_call_has_a_connection_of_its_own() {
    let wire = Wire::bind().await;
    let rig = Rig::new(options(&wire.api_url));
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{\"success\":true}";
    // No connection is ever closed from this side, so a client that kept one would use it again, and
    // this server would wait for a new one in vain.
    let mut kept = Vec::new();
    for _ in 0..3 {
        let exchange = async {
            tokio::join!(rig.argos.register(tokens(1)), async {
                let mut stream = wire.next_request().await;
                stream.write_all(answer).await.unwrap();
                stream
            })
        };
        let bound = Duration::from_secs(10);
        let (outcome, stream) = tokio::time::timeout(bound, exchange).await.unwrap();
        assert_eq!(outcome, Outcome::Settled(Registered { count: None }));
        kept.push(stream);
    }
    for stream in kept {
        assert!(is_closed(stream).await);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(|_| ok(r#"{"success":true}"#)).await;
    let location = elsewhere.api_url.clone();
    let server = Server::start(move |_| {
        (StatusCode::TEMPORARY_REDIRECT, [("location", location.clone())]).into_response()
    })
    .await;
    let Rig { argos, .. } = server.rig();
    assert!(is_doubtful(&argos.register(tokens(1)).await, DoubtfulCause::Unclear));
    assert!(is_doubtful(&argos.count().await, DoubtfulCause::Unclear));
    assert_eq!((server.seen().len(), elsewhere.seen().len()), (2, 0));
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    const BYTES: usize = (1 << 20) + 1;
    let spaces = || Body::from([vec![b' '; BYTES], br#"{"count":7}"#.to_vec()].concat());
    let server = Server::start(move |_| spaces().into_response()).await;
    let Rig { argos, .. } = server.rig();
    assert!(is_doubtful(&argos.count().await, DoubtfulCause::Unclear));
}
