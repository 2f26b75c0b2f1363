use super::*;
use crate::sim::sealed::Gcm;

const KEY: &str = "argos_test_demo";

fn outbox(settings: WebhookSettings) -> Outbox {
    let mut outbox = Outbox::new("pid_demo", Some("http://127.0.0.1:1/hook".into()));
    outbox.secure(KEY, Cipher::Ecb, false);
    outbox.change(settings);
    outbox
}

fn opened(data: &str, cipher: Cipher, key: &str) -> Value {
    serde_json::from_slice(&cipher.open(data, key).unwrap()).unwrap()
}

fn taken(outbox: &mut Outbox) -> Vec<String> {
    outbox.take().into_iter().map(|delivery| delivery.body.replace('"', "")).collect()
}

fn sent(outbox: &mut Outbox, names: &[&str]) -> Vec<String> {
    for name in names {
        outbox.send(&json!(name));
    }
    taken(outbox)
}

/// Sends so many and carries each out as soon as it is due, as the only lane would.
fn carried(settings: &WebhookSettings, n: u64) -> (Vec<u64>, Counters) {
    let mut outbox = outbox(settings.clone());
    let mut arrived = Vec::new();
    for n in 0..n {
        outbox.send(&json!(n));
        for delivery in outbox.take() {
            arrived.push(delivery.body.parse().unwrap());
            outbox.ended();
        }
    }
    for now in [0, LATE_AT_MOST] {
        outbox.advance(now);
    }
    for delivery in outbox.take() {
        arrived.push(delivery.body.parse().unwrap());
        outbox.ended();
    }
    let mut counters = Counters::default();
    outbox.count(&mut counters);
    (arrived, counters)
}

#[test]
fn webhooks_are_lost_doubled_and_turned_round_as_told() {
    let lose = WebhookSettings { drop: Some(Times::Next(1)), ..Default::default() };
    assert_eq!(sent(&mut outbox(lose), &["a", "b"]), ["b"]);
    let double = WebhookSettings { duplicate: Some(Times::Next(1)), ..Default::default() };
    assert_eq!(sent(&mut outbox(double), &["a", "b"]), ["a", "a", "b"]);
    let turn = WebhookSettings { reorder: Some(2), ..Default::default() };
    assert_eq!(sent(&mut outbox(turn), &["a", "b", "c"]), ["b", "a", "c"]);
}

#[test]
fn what_is_kept_for_reordering_can_be_let_go() {
    let mut outbox = outbox(WebhookSettings { reorder: Some(9), ..Default::default() });
    assert!(sent(&mut outbox, &["a", "b"]).is_empty());
    outbox.change(WebhookSettings { reorder: Some(0), ..Default::default() });
    assert_eq!(sent(&mut outbox, &["c"]), ["b", "a", "c"]);
}

#[test]
fn rates_lose_double_and_delay_their_share_and_every_webhook_is_accounted_for() {
    let settings = WebhookSettings {
        drop_percent: Some(2.0),
        duplicate_percent: Some(5.0),
        late_percent: Some(10.0),
        seed: Some(42),
        ..Default::default()
    };
    let (arrived, counters) = carried(&settings, 10_000);
    let (lost, twice, late) =
        (counters.webhooks_dropped, counters.webhooks_duplicated, counters.webhooks_late);
    assert!((150..250).contains(&lost) && (400..600).contains(&twice), "{lost} {twice}");
    assert!((900..1_100).contains(&late), "{late}");
    assert_eq!(arrived.len() as u64, 10_000 - lost + twice);
    assert_eq!(counters.webhooks_waiting, 0);
    assert_eq!(carried(&settings, 10_000).0, arrived, "the same seed, the same luck");
    let other = WebhookSettings { seed: Some(43), ..settings };
    assert_ne!(carried(&other, 10_000).0, arrived);
}

#[test]
fn a_late_webhook_is_overtaken_by_one_to_32_later_ones() {
    let settings =
        WebhookSettings { late_percent: Some(20.0), seed: Some(1), ..Default::default() };
    let (arrived, _) = carried(&settings, 1_000);
    let place = |n: u64| arrived.iter().position(|each| *each == n).unwrap();
    let overtaken: Vec<usize> = (0..900)
        .map(|n| arrived[..place(n)].iter().filter(|each| **each > n).count())
        .filter(|by| *by > 0)
        .collect();
    assert!((120..260).contains(&overtaken.len()), "{}", overtaken.len());
    assert!(overtaken.contains(&1) && overtaken.iter().all(|by| *by <= 64));
}

#[test]
fn a_late_webhook_that_nobody_overtakes_comes_in_the_end() {
    let mut outbox = outbox(WebhookSettings { late_percent: Some(100.0), ..Default::default() });
    assert!(sent(&mut outbox, &["a"]).is_empty());
    for now in [0, LATE_AT_MOST - 1] {
        outbox.advance(now);
        assert!(outbox.take().is_empty());
    }
    outbox.advance(LATE_AT_MOST);
    assert_eq!(taken(&mut outbox), ["a"]);
}

#[test]
fn of_one_that_is_doubled_and_late_only_the_second_copy_is_late() {
    let both = WebhookSettings {
        late_percent: Some(100.0),
        duplicate_percent: Some(100.0),
        ..Default::default()
    };
    let mut outbox = outbox(both);
    assert_eq!(sent(&mut outbox, &["a", "b"]), ["a", "b"]);
    outbox.advance(0);
    outbox.advance(LATE_AT_MOST);
    assert_eq!(taken(&mut outbox).len(), 2);
}

#[test]
fn sealing_can_be_switched_on_between_two_webhooks() {
    let mut outbox = outbox(WebhookSettings::default());
    outbox.send(&json!({"webhook_trigger": "created"}));
    outbox.change(WebhookSettings { sealed: Some(true), ..Default::default() });
    outbox.send(&json!({"webhook_trigger": "approved"}));
    let bodies: Vec<Value> = outbox
        .take()
        .iter()
        .map(|delivery| serde_json::from_str(&delivery.body).unwrap())
        .collect();
    assert_eq!(bodies[0]["webhook_trigger"], "created");
    let data = bodies[1]["data"].as_str().unwrap();
    assert_eq!(bodies[1].as_object().unwrap().len(), 1);
    assert_eq!(opened(data, Cipher::Ecb, KEY)["webhook_trigger"], "approved");
    assert_eq!(outbox.shown().len(), 2, "the dump shows what is inside");
    let mut counters = Counters::default();
    outbox.count(&mut counters);
    assert_eq!((counters.webhooks_made, counters.webhooks_sealed), (2, 1));
}

#[test]
fn secure_transfer_seals_webhooks_whatever_their_own_setting_says() {
    let mut outbox = outbox(WebhookSettings { sealed: Some(false), ..Default::default() });
    let gcm = Cipher::Gcm(Gcm::default());
    for (key, cipher) in [(KEY, Cipher::Ecb), ("another-key", gcm)] {
        outbox.secure(key, cipher, true);
        outbox.send(&json!({"webhook_trigger": "created"}));
        let delivery = outbox.take().pop().unwrap();
        let body: Value = serde_json::from_str(&delivery.body).unwrap();
        let data = body["data"].as_str().unwrap();
        assert_eq!(opened(data, cipher, key)["webhook_trigger"], "created");
    }
    outbox.secure(KEY, Cipher::Ecb, false);
    outbox.send(&json!({"webhook_trigger": "created"}));
    assert!(outbox.take()[0].body.contains("created"));
}

#[test]
fn an_expiry_has_a_twin_in_the_other_pipeline_where_told() {
    let flavour = Some(Flavour { face_auth: true, ..Flavour::default() });
    let mut outbox = outbox(WebhookSettings { flavour, ..Default::default() });
    outbox.token_expired("token-aa", Expiry::Count { at: 0 });
    let bodies: Vec<Value> =
        outbox.shown().iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    assert_eq!(bodies[0]["service"], "idCheck");
    assert_eq!(bodies[1]["service"], "faceAuth");
    assert_eq!(bodies[0]["token_id"], bodies[1]["token_id"]);
}
