//! The question how the project is set, which no pool depends on, and the time that answers tell.

use super::*;

#[tokio::test]
async fn the_settings_of_the_project_are_asked_for_as_the_contract_shows_it() {
    let body = r#"{"traceId":"1","item":{"management":{"projectStatus":"TEST",
        "activateBlocking":{"activate":true},"ipWhitelist":{"api":[]}}}}"#;
    let server = Server::start(move |_| ok(body)).await;
    let rig = server.rig();
    let Outcome::Settled(settings) = rig.argos.settings().await else { panic!("no settings") };
    assert_eq!((settings.status.as_deref(), settings.stopped), (Some("test"), Some(true)));
    assert_eq!((settings.addresses, settings.webhook_url), (Some(Vec::new()), None));
    let seen = server.seen();
    assert_eq!(seen[0].line, "GET /v3/projects/settings?category=management");
    assert_eq!((&seen[0].headers["x-api-key"], seen[0].body.as_str()), (&KEY.parse().unwrap(), ""));
    assert_eq!(rig.results(), [(Operation::Settings, "settled")]);
}

#[tokio::test]
async fn no_answer_about_the_settings_holds_back_a_registration() {
    for (status, body, label) in [
        (200, "<html>All is well</html>", "unclear"),
        (200, r#"{"item":{}}"#, "unclear"),
        (400, r#"{"message":"Invalid Query String parameters"}"#, "request_refused"),
        (403, r#"{"message":"Missing Authentication Token"}"#, "key_refused"),
        (403, r#"{"message":"… with an explicit deny"}"#, "address_refused"),
        (404, "", "unclear"),
        (500, "", "failed"),
        (502, "", "unanswered"),
    ] {
        let server =
            Server::start(move |_| (StatusCode::from_u16(status).unwrap(), body).into_response())
                .await;
        let rig = server.rig();
        rig.pass(3_600);
        *rig.next_key.lock().unwrap() = Some("key-0002");
        for _ in 0..10 {
            let _ = rig.argos.settings().await;
        }
        assert_eq!(rig.results(), [(Operation::Settings, label); 10]);
        assert_eq!(rig.argos.health().condition, Condition::Up, "{status} {body}");
        assert_eq!(rig.argos.admit(Purpose::Refill), Ok(()));
        assert_eq!(rig.argos.key_changes(), 0);
    }
}

#[tokio::test]
async fn a_wish_for_fewer_calls_is_heard_whatever_was_asked() {
    let server = Server::start(|_| {
        (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "120")]).into_response()
    })
    .await;
    let rig = server.rig();
    rig.pass(3_600);
    assert!(is_refused(&rig.argos.settings().await, RefusedCause::Throttled));
    let retry_after = Duration::from_secs(120);
    assert_eq!(rig.argos.admit(Purpose::Refill), Err(Hold { retry_after }));
}

#[tokio::test]
async fn the_last_time_that_argos_told_stands_beside_our_own() {
    let dated = Arc::new(Mutex::new("Sun, 06 Nov 1994 08:49:37 GMT"));
    let date = dated.clone();
    let server =
        Server::start(move |_| ([("date", *date.lock().unwrap())], "{}").into_response()).await;
    let rig = server.rig();
    assert_eq!(rig.argos.last_time(), None);
    for (told, millis) in
        [("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777_000), ("soon", 784_111_777_000)]
    {
        *dated.lock().unwrap() = told;
        rig.pass(1);
        let _ = rig.argos.count().await;
        let time = rig.argos.last_time().unwrap();
        assert_eq!(time.by_argos, Timestamp::from_millis(millis));
        assert!(told == "soon" || time.wall == rig.hands.wall());
    }
}
