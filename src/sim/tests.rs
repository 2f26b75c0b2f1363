//! The simulator through its sockets: what the contract's samples look like to a client.

use reqwest::{Client, RequestBuilder};
use serde_json::json;

use super::*;

pub(super) const PID: &str = "pid_demo";
const KEY: &str = "argos_test_demo";

pub(super) async fn simulator() -> (Simulator, Client) {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    (simulator, delivery::client().unwrap())
}

fn tokens_url(simulator: &Simulator) -> String {
    format!("{}/submission/tokens", simulator.api_url())
}

pub(super) async fn answered(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

pub(super) async fn register(simulator: &Simulator, client: &Client, ids: &[&str]) -> (u16, Value) {
    let body = json!({"tokenId": ids}).to_string();
    let request = client.post(tokens_url(simulator)).header("x-api-key", KEY);
    answered(request.header("content-type", "text/plain").body(body)).await
}

/// Waits for a state that comes by itself, and fails if it does not.
pub(super) async fn until(mut reached: impl FnMut() -> bool) {
    for _ in 0..12_000 {
        if reached() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the awaited state did not come");
}

fn script(simulator: &Simulator, script: Script) {
    simulator.control(Command::Faults(script)).unwrap();
}

#[tokio::test]
async fn registering_and_deleting_look_like_the_samples() {
    let (simulator, client) = simulator().await;
    let (status, body) = register(&simulator, &client, &["kyc-0000001a", "kyc-0000002b"]).await;
    assert_eq!(status, 200);
    assert_eq!(
        body,
        json!({"success": true, "message": "All tokens are now in the pool",
            "summary": {"totalSubmitted": 2, "currentCount": 2, "processed": 2, "failed": 0}})
    );
    let url = tokens_url(&simulator);
    let gone = json!({"tokenId": ["kyc-0000001a", "kyc-0000002b", "kyc-0000009z"]}).to_string();
    let request = client.delete(&url).header("x-api-key", KEY).body(gone.clone());
    let (status, body) = answered(request.header("content-type", "application/json")).await;
    assert_eq!(status, 200);
    assert_eq!(
        body["summary"],
        json!({"totalSubmitted": 3, "deleted": 2, "notFound": 1, "failed": 0})
    );
    assert_eq!(body["details"], json!({"notFound": ["kyc-0000009z"]}));
    let again = answered(client.delete(&url).header("x-api-key", KEY).body(gone)).await;
    assert_eq!((again.0, &again.1["errorCode"]), (400, &json!("token_id_not_found")));
    simulator.stop().await;
}

#[tokio::test]
async fn a_wrong_key_is_forbidden_and_so_is_none() {
    let (simulator, client) = simulator().await;
    let url = tokens_url(&simulator);
    let forbidden = (403, json!({"message": "Forbidden"}));
    assert_eq!(answered(client.get(&url)).await, forbidden);
    assert_eq!(answered(client.get(&url).header("x-api-key", "other")).await, forbidden);
}

#[tokio::test]
async fn a_lost_answer_closes_the_connection_after_its_effect() {
    let (simulator, client) = simulator().await;
    script(&simulator, Script::next(Operation::Post, Fault::LostAnswer { effect: Effect::Done }));
    let body = json!({"tokenId": ["token-0001"]}).to_string();
    let sent = client.post(tokens_url(&simulator)).header("x-api-key", KEY).body(body).send().await;
    assert!(sent.is_err(), "no byte of an answer may arrive");
    let counters = simulator.counters(PID).unwrap();
    assert_eq!((counters.pool_size, counters.outcomes[&Operation::Post]["lost"]), (1, 1));
    let (status, _) = register(&simulator, &client, &["token-0002"]).await;
    assert_eq!(status, 200, "only the next call was scripted");
}

#[tokio::test]
async fn a_slow_body_and_a_retry_after_arrive_whole() {
    let (simulator, client) = simulator().await;
    script(&simulator, Script::next(Operation::Count, Fault::SlowBody { ms: 1 }));
    let url = format!("{}?type=count", tokens_url(&simulator));
    let (status, body) = answered(client.get(&url).header("x-api-key", KEY)).await;
    assert_eq!((status, body), (200, json!({"success": true, "count": 0})));
    let busy = Fault::Status {
        status: 429,
        body: FaultBody::Html,
        error_code: None,
        retry_after_seconds: Some(7),
        effect: Effect::None,
    };
    script(&simulator, Script::next(Operation::Count, busy));
    let answer = client.get(&url).header("x-api-key", KEY).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 429);
    assert_eq!(answer.headers()["retry-after"], "7");
}

#[tokio::test]
async fn stopping_ends_calls_that_still_wait_for_their_answer() {
    let (simulator, client) = simulator().await;
    script(&simulator, Script::always(Operation::Count, Fault::Latency { ms: 3_600_000 }));
    let url = format!("{}?type=count", tokens_url(&simulator));
    let call = tokio::spawn(client.get(&url).header("x-api-key", KEY).send());
    until(|| simulator.counters(PID).unwrap().calls_in_flight == 1).await;
    simulator.stop().await;
    assert!(call.await.unwrap().is_err());
}

/// Follows the pages as a browser does: with its cookie and its forms.
#[tokio::test]
async fn a_person_walks_the_pages_from_consent_to_approval() {
    let (simulator, client) = simulator().await;
    register(&simulator, &client, &["token-0001"]).await;
    let link =
        format!("{}/?pid={PID}&token=token-0001&email=x%40example.com", simulator.form_url());
    let page = client.get(&link).send().await.unwrap();
    assert_eq!(page.status().as_u16(), 200);
    let cookie =
        page.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert!(page.text().await.unwrap().contains("x@example.com"));

    let start = format!("{}/liveform/start", simulator.form_url());
    let form = format!("pid={PID}&token=token-0001&email=x%40example.com");
    let sent = client.post(start).header("cookie", &cookie).body(form).send().await.unwrap();
    assert_eq!(sent.status().as_u16(), 303);
    let place = sent.headers()["location"].to_str().unwrap().to_owned();
    let session = format!("{}{place}", simulator.form_url());
    let html = client.get(&session).send().await.unwrap().text().await.unwrap();
    assert!(html.contains("data-state=\"incomplete\""));

    let submission = place.rsplit('/').next().unwrap();
    let decide = format!("{}/liveform/decide", simulator.form_url());
    let form = format!("submission_id={submission}&decision=approved");
    assert_eq!(client.post(decide).body(form).send().await.unwrap().status().as_u16(), 303);
    let html = client.get(&session).send().await.unwrap().text().await.unwrap();
    assert!(html.contains("data-state=\"approved\""));

    let again = client.get(&link).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(again.status().as_u16(), 403);
    assert!(again.text().await.unwrap().contains("data-cause=\"approved\""));
    let counters = simulator.counters(PID).unwrap();
    assert_eq!((counters.tokens_opened, counters.tokens_opened_by_several), (1, 0));
}

#[tokio::test]
async fn the_record_is_read_in_pages_and_a_crowd_is_played_over_http() {
    let (simulator, client) = simulator().await;
    let ids: Vec<String> = (0..1_200).map(|n| format!("token-{n:06}")).collect();
    for batch in ids.chunks(500) {
        let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
        register(&simulator, &client, &batch).await;
    }
    let links: Vec<String> = ids[..2]
        .iter()
        .map(|id| format!("{}?pid={PID}&token={id}", simulator.form_url()))
        .collect();
    let body = json!({"links": links, "plan": {"submits": {"decision": "pending"}}});
    let url = |name: &str| format!("{}/_sim/{name}", simulator.form_url());
    let (status, report) = answered(client.post(url("crowd")).body(body.to_string())).await;
    assert_eq!((status, report["people"].as_array().unwrap().len()), (200, 2));
    let (_, first) = answered(client.get(url("record"))).await;
    assert_eq!((&first["total"], &first["next_offset"]), (&json!(1_200), &json!(1_000)));
    let token = &first["tokens"][0];
    assert_eq!((&token["token"], &token["state"]), (&json!("token-000000"), &json!("present")));
    assert_eq!(token["submissions"][0]["id"], report["people"][0]["submissions"][0]);
    assert_eq!(token["submissions"][0]["status"], "pending");
    let (_, rest) = answered(client.get(url("record?offset=1000"))).await;
    assert_eq!(rest["tokens"].as_array().unwrap().len(), 200);
    assert_eq!(rest["next_offset"], Value::Null);
    let whole = simulator.record(PID).unwrap();
    assert_eq!((whole.len(), whole[1_199].token.as_str()), (1_200, "token-001199"));
    assert!(simulator.record("pid_other").is_none());
}

#[tokio::test]
async fn every_ending_has_a_page_of_its_own() {
    let (simulator, client) = simulator().await;
    register(&simulator, &client, &["token-0001"]).await;
    let link = format!("{}/?pid={PID}&token=token-0001", simulator.form_url());
    let mut visitor = Visitor::new(&simulator.form_url()).unwrap();
    let submission = visitor.start(&link).await.unwrap();
    let endings = [
        ("retry", "Take a selfie"),
        ("pending", "Under review"),
        ("rejected", "Not verified"),
        ("approved", "You are verified"),
        ("delete", "Deleted submission"),
    ];
    for (decision, title) in endings {
        let shown = visitor.decide(&submission, decision).await.unwrap();
        assert!(shown.title.starts_with(title), "{decision}: {}", shown.title);
    }
}

#[tokio::test]
async fn a_visitor_walks_from_the_link_to_the_decision_and_is_not_let_in_again() {
    let (simulator, client) = simulator().await;
    register(&simulator, &client, &["kyc-0000001a"]).await;
    let url = format!("{}?pid={PID}&token=kyc-0000001a&userid=u%201", simulator.form_url());
    let mut visitor = Visitor::new(&simulator.form_url()).unwrap();
    let welcome = visitor.open(&url).await.unwrap();
    assert_eq!((welcome.status, welcome.cause), (200, None));
    let submission = visitor.start(&url).await.unwrap();
    let decided = visitor.decide(&submission, "approved").await.unwrap();
    assert!(decided.title.starts_with("You are verified"), "{}", decided.title);
    assert_eq!(visitor.open(&url).await.unwrap().cause.as_deref(), Some("approved"));
    simulator.stop().await;
}
