//! Webhooks out: their bodies as contract 3.3 shows them, and what may happen to them on the way.
//!
//! The outbox only decides (lost, twice, later, in another order); `delivery` carries them out.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    faults::Times,
    submissions::{Status, Submission},
    wire::{Millis, iso},
};

/// Bodies kept for the state dump.
const SHOWN_MAX: usize = 1_000;

/// A change to the webhook settings of one project; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookSettings {
    /// `None`: the first project.
    pub pid: Option<String>,
    /// Where to; the empty text switches webhooks off.
    pub url: Option<String>,
    /// How many of the next ones are never sent.
    pub drop: Option<Times>,
    /// How many of the next ones are sent twice.
    pub duplicate: Option<Times>,
    /// How many of the next ones are kept until all of them are there, then sent newest first.
    /// 0 sends what is kept.
    pub reorder: Option<u32>,
    pub delay_ms: Option<u64>,
    /// Whether decisions carry `tokenId` and `userid`; the newest sample does not (contract 3.3).
    pub identify: Option<bool>,
}

/// One webhook on its way to a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub pid: String,
    pub url: String,
    pub body: String,
    pub delay: Duration,
}

/// What a webhook tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    Created,
    Retry,
    Submit,
    Approved,
    Rejected,
    Updated,
    Delete,
}

impl Trigger {
    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Retry => "retry",
            Self::Submit => "submit",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Updated => "updated",
            Self::Delete => "delete",
        }
    }

    /// The one trigger of `submit`, `approved`, `rejected` that goes with a decision.
    pub(super) fn of(status: Status) -> Self {
        match status {
            Status::Incomplete => Self::Created,
            Status::Pending => Self::Submit,
            Status::Approved => Self::Approved,
            Status::Rejected => Self::Rejected,
        }
    }
}

/// Why a token expired (contract 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    Count {
        at: Millis,
    },
    /// A scheduled time: it may lie ahead.
    Time {
        expected_at: Millis,
    },
}

/// The webhooks of one project that wait to be carried out.
pub(super) struct Outbox {
    pid: String,
    url: Option<String>,
    drop: Times,
    duplicate: Times,
    reorder: usize,
    delay: Duration,
    identify: bool,
    kept: Vec<String>,
    due: Vec<Delivery>,
    shown: Vec<String>,
    made: u64,
    dropped: u64,
}

impl Outbox {
    pub(super) fn new(pid: &str, url: Option<String>) -> Self {
        Self {
            pid: pid.to_owned(),
            url,
            drop: Times::Next(0),
            duplicate: Times::Next(0),
            reorder: 0,
            delay: Duration::ZERO,
            identify: true,
            kept: Vec::new(),
            due: Vec::new(),
            shown: Vec::new(),
            made: 0,
            dropped: 0,
        }
    }

    pub(super) fn change(&mut self, settings: WebhookSettings) {
        if let Some(url) = settings.url {
            self.url = Some(url).filter(|url| !url.is_empty());
        }
        self.drop = settings.drop.unwrap_or(self.drop);
        self.duplicate = settings.duplicate.unwrap_or(self.duplicate);
        self.delay = settings.delay_ms.map_or(self.delay, Duration::from_millis);
        self.identify = settings.identify.unwrap_or(self.identify);
        if let Some(window) = settings.reorder {
            self.reorder = window as usize;
            self.release();
        }
    }

    pub(super) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// The bodies made so far, newest last.
    pub(super) fn shown(&self) -> &[String] {
        &self.shown
    }

    /// How many were made, and how many of those were dropped.
    pub(super) fn tally(&self) -> (u64, u64) {
        (self.made, self.dropped)
    }

    pub(super) fn take(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.due)
    }

    pub(super) fn about(&mut self, trigger: Trigger, submission: &Submission, now: Millis) {
        self.send(&body(trigger, submission, now, self.identify));
    }

    pub(super) fn token_expired(&mut self, token: &str, expiry: Expiry) {
        let body = match expiry {
            Expiry::Count { at } => json!({
                "webhook_trigger": "token_expired", "token_id": token,
                "expired_condition": "count", "expired_at": iso(at), "service": "idCheck",
            }),
            Expiry::Time { expected_at } => json!({
                "webhook_trigger": "token_expired", "token_id": token, "expired_condition": "time",
                "expected_expired_at": iso(expected_at), "service": "idCheck",
            }),
        };
        self.send(&body);
    }

    /// Sends any body; for shapes that no step of the Liveform makes.
    pub(super) fn send(&mut self, body: &Value) {
        let body = body.to_string();
        if self.shown.len() == SHOWN_MAX {
            self.shown.remove(0);
        }
        self.shown.push(body.clone());
        self.made += 1;
        if self.drop.take() {
            self.dropped += 1;
        } else if self.reorder > 0 {
            self.kept.push(body);
            if self.kept.len() >= self.reorder {
                self.reorder = 0;
                self.release();
            }
        } else {
            self.post(body);
        }
    }

    /// Sends what was kept, newest first, unless more is awaited.
    fn release(&mut self) {
        if self.reorder > self.kept.len() {
            return;
        }
        for body in std::mem::take(&mut self.kept).into_iter().rev() {
            self.post(body);
        }
    }

    fn post(&mut self, body: String) {
        let Some(url) = self.url.clone() else { return };
        let delivery = Delivery { pid: self.pid.clone(), url, body, delay: self.delay };
        if self.duplicate.take() {
            self.due.push(delivery.clone());
        }
        self.due.push(delivery);
    }
}

fn body(trigger: Trigger, submission: &Submission, now: Millis, identify: bool) -> Value {
    let mut body = Map::new();
    body.insert("webhook_trigger".into(), json!(trigger.as_str()));
    body.insert("submission_id".into(), json!(submission.id));
    match trigger {
        Trigger::Delete => {
            body.insert("account_email".into(), json!("admin@example.com"));
            body.insert("delete_time".into(), json!(iso(now)));
            body.insert("comment".into(), json!("deleted by an administrator"));
            return Value::Object(body);
        }
        Trigger::Updated => {
            body.insert(
                "data".into(),
                json!({
                    "update": ["kycStatus"], "kyc_result": submission.status.as_str(),
                    "pending_at": submission.pending_at.map(iso), "reviewer": submission.reviewer,
                }),
            );
            body.insert("admin".into(), json!("admin@example.com"));
            body.insert("update_time".into(), json!(iso(submission.updated_at)));
        }
        Trigger::Created | Trigger::Retry => {
            body.insert("kyc_result".into(), json!({"status": submission.status.as_str()}));
            body.insert("cf".into(), json!(submission.person.custom_fields));
            body.insert("ipAddress".into(), json!("203.0.113.7"));
            if trigger == Trigger::Retry {
                body.insert("retryCode".into(), json!("image_blurred"));
                body.insert("attempts".into(), json!(submission.attempts));
            }
        }
        Trigger::Submit | Trigger::Approved | Trigger::Rejected => {
            body.insert("cf".into(), json!(submission.person.custom_fields));
            body.insert("applicant_id".into(), json!(format!("applicant-{}", submission.id)));
            body.insert("kyc_result".into(), json!({
                "status": submission.status.as_str(), "reviewer": submission.reviewer,
                "created_at": iso(submission.created_at), "updated_at": iso(submission.updated_at),
                "pending_at": submission.pending_at.map(iso),
                "kyc_result_at": submission.result_at.map(iso),
                "comment": submission.comment, "commentCode": submission.comment_code,
            }));
        }
    }
    if let Some(email) = submission.person.email.as_ref().filter(|_| trigger != Trigger::Created) {
        body.insert("email".into(), json!(email));
    }
    let decision = matches!(trigger, Trigger::Submit | Trigger::Approved | Trigger::Rejected);
    if identify || !decision {
        body.insert("tokenId".into(), json!(submission.token));
        if let Some(userid) = &submission.person.userid {
            body.insert("userid".into(), json!(userid));
        }
    }
    Value::Object(without_nulls(body))
}

/// "Only entered values are returned" (contract 3.3).
fn without_nulls(members: Map<String, Value>) -> Map<String, Value> {
    members
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| match value {
            Value::Object(inner) => (name, Value::Object(without_nulls(inner))),
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)) => (name, other),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(settings: WebhookSettings) -> Outbox {
        let mut outbox = Outbox::new("pid_demo", Some("http://127.0.0.1:1/hook".into()));
        outbox.change(settings);
        outbox
    }

    fn sent(outbox: &mut Outbox, names: &[&str]) -> Vec<String> {
        for name in names {
            outbox.send(&json!(name));
        }
        outbox.take().into_iter().map(|delivery| delivery.body.replace('"', "")).collect()
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
}
