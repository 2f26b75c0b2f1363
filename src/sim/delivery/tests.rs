//! Webhooks over real sockets, from the Liveform to a receiver.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::sim::{
    Command, Counters, Crowd, CrowdReport, Decision, Plan, RuleChange, Simulator, WebhookSettings,
    tests::{PID, answered, register, simulator, until},
};

/// Keeps what it is sent and answers by the number of those that came before.
struct Receiver {
    url: String,
    seen: Arc<Mutex<Vec<Value>>>,
    served: JoinHandle<()>,
}

impl Receiver {
    async fn start(answer: fn(usize) -> u16) -> Self {
        let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = Arc::clone(&seen);
        let receive = move |body: Bytes| async move {
            let mut seen = kept.lock().unwrap();
            seen.push(serde_json::from_slice(&body).unwrap());
            StatusCode::from_u16(answer(seen.len() - 1)).unwrap()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let app = Router::new().route("/hook", post(receive));
        let served = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, seen, served }
    }

    fn seen(&self) -> Vec<Value> {
        self.seen.lock().unwrap().clone()
    }

    /// Triggers in the order of arrival, by submission.
    fn triggers(&self) -> BTreeMap<String, Vec<String>> {
        let text = |body: &Value, name: &str| body[name].as_str().unwrap().to_owned();
        let mut triggers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for body in self.seen() {
            let told = text(&body, "webhook_trigger");
            triggers.entry(text(&body, "submission_id")).or_default().push(told);
        }
        triggers
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.served.abort();
    }
}

/// A simulator that sends to this receiver, and how it sends.
async fn sending(receiver: &Receiver, settings: WebhookSettings) -> Simulator {
    let (simulator, _) = simulator().await;
    let settings = WebhookSettings { url: Some(receiver.url.clone()), ..settings };
    simulator.control(Command::Webhooks(settings)).unwrap();
    simulator
}

/// So many people with a token each.
fn crowd(simulator: &Simulator, people: usize, plan: Plan) -> CrowdReport {
    let foreign = Command::Foreign { pid: None, count: people, prefix: None, ids: Vec::new() };
    simulator.control(foreign).unwrap();
    let link = |n| format!("{}/?pid={PID}&token=foreign-{n:08}", simulator.form_url());
    simulator.crowd(&Crowd { links: (0..people).map(link).collect(), plan })
}

/// Waits until no webhook is on its way.
async fn quiet(simulator: &Simulator) -> Counters {
    let counters = || simulator.counters(PID).unwrap();
    until(|| counters().webhooks_waiting == 0).await;
    counters()
}

#[tokio::test]
async fn a_refused_webhook_is_repeated_and_nothing_overtakes_it() {
    let receiver = Receiver::start(|n| if n == 0 { 503 } else { 200 }).await;
    let (simulator, client) = simulator().await;
    let settings = WebhookSettings { url: Some(receiver.url.clone()), ..Default::default() };
    simulator.control(Command::Webhooks(settings)).unwrap();
    register(&simulator, &client, &["token-0001"]).await;
    let control = |name: &str, body: Value| {
        let url = format!("{}/_sim/{name}", simulator.form_url());
        answered(client.post(url).body(body.to_string()))
    };
    let (status, started) =
        control("liveform/start", json!({"token": "token-0001", "cf1": "a"})).await;
    assert_eq!(status, 200, "{started}");
    let decision = json!({"submission_id": started["submission_id"], "decision": "rejected"});
    assert_eq!(control("liveform/decide", decision).await.0, 200);

    until(|| simulator.counters(PID).unwrap().webhooks_delivered == 2).await;
    let seen = receiver.seen();
    let triggers: Vec<&Value> = seen.iter().map(|body| &body["webhook_trigger"]).collect();
    assert_eq!(triggers, ["created", "created", "rejected"]);
    assert_eq!(seen[1]["tokenId"], "token-0001");
    assert_eq!(seen[1]["cf"], json!({"cf1": "a"}));
    assert_eq!(seen[2]["kyc_result"]["status"], "rejected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_about_one_token_arrives_in_order_however_many_others_there_are() {
    let receiver = Receiver::start(|_| 200).await;
    let simulator = sending(&receiver, WebhookSettings::default()).await;
    crowd(&simulator, 500, Plan::Retries { times: 2, decision: Decision::Approved });
    quiet(&simulator).await;
    let triggers = receiver.triggers();
    assert_eq!(triggers.len(), 500);
    assert!(triggers.values().all(|told| told == &["created", "retry", "retry", "approved"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_webhook_really_arrives_after_a_later_one_of_its_own_submission() {
    let receiver = Receiver::start(|_| 200).await;
    let late = WebhookSettings { late_percent: Some(20.0), seed: Some(5), ..Default::default() };
    let simulator = sending(&receiver, late).await;
    crowd(&simulator, 500, Plan::Submits { decision: Decision::Approved });
    let counters = quiet(&simulator).await;
    assert!((150..250).contains(&counters.webhooks_late), "{}", counters.webhooks_late);
    let triggers = receiver.triggers();
    let turned = triggers.values().filter(|told| *told == &["approved", "created"]).count();
    assert!(turned > 30, "{turned} of 500");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crowd_causes_is_carried_out_and_every_webhook_is_accounted_for() {
    let receiver = Receiver::start(|n| if n % 50 == 0 { 503 } else { 200 }).await;
    let settings = WebhookSettings {
        drop_percent: Some(2.0),
        duplicate_percent: Some(5.0),
        late_percent: Some(5.0),
        seed: Some(3),
        ..WebhookSettings::default()
    };
    let simulator = sending(&receiver, settings).await;
    let report = crowd(&simulator, 1_000, Plan::Submits { decision: Decision::Approved });
    assert!(report.refused.is_empty());
    let all = quiet(&simulator).await;
    assert_eq!(all.webhooks_made, 2_000);
    let sent = all.webhooks_made - all.webhooks_dropped + all.webhooks_duplicated;
    assert_eq!(all.webhooks_delivered + all.webhooks_failed, sent);
    assert_eq!(all.webhook_answers.values().sum::<u64>(), receiver.seen().len() as u64);
    assert!(all.webhook_answers["5xx"] >= 40 && all.webhooks_late > 50, "{all:?}");
}

#[tokio::test]
async fn a_webhook_is_tried_as_often_as_told() {
    let receiver = Receiver::start(|_| 500).await;
    let twice = WebhookSettings { tries: Some(2), ..Default::default() };
    let simulator = sending(&receiver, twice).await;
    crowd(&simulator, 1, Plan::WalksAway);
    until(|| simulator.counters(PID).unwrap().webhooks_failed == 1).await;
    assert_eq!(receiver.seen().len(), 2);
}

#[tokio::test]
async fn what_is_due_happens_though_nobody_calls() {
    let receiver = Receiver::start(|_| 200).await;
    let simulator = sending(&receiver, WebhookSettings::default()).await;
    let rule = RuleChange { abandoned_after_ms: Some(20), ..RuleChange::default() };
    simulator.control(Command::Rules(rule)).unwrap();
    crowd(&simulator, 1, Plan::WalksAway);
    until(|| receiver.seen().len() == 2).await;
    assert_eq!(receiver.seen()[1]["webhook_trigger"], "rejected");
}
