//! What a webhook says (contract 3.3). Every field is optional over there, so only what is needed is
//! looked at, and nothing else is kept.

use serde_json::Value;

use crate::domain::{
    ids::{SubmissionId, TokenId},
    submission::{Fact, FactKind, Marks, Report},
    time::Timestamp,
    token::Decision,
};

/// What a webhook comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Report(Report),
    /// It moves no token.
    Unrelated,
    /// It would move a token and names none.
    NoToken,
    /// Its token cannot be one of ours.
    Foreign,
    /// Nothing but ciphertext.
    Sealed,
    Malformed,
}

/// Why ARGOS sent it, as a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    Created,
    Retry,
    Submit,
    Approved,
    Rejected,
    Updated,
    Delete,
    Injection,
    Aml,
    AmlMonitor,
    TokenExpired,
    /// One that nobody told us about.
    Other,
    /// It never came to a trigger.
    None,
}

impl Trigger {
    pub(super) const ALL: [Self; 13] = [
        Self::Created,
        Self::Retry,
        Self::Submit,
        Self::Approved,
        Self::Rejected,
        Self::Updated,
        Self::Delete,
        Self::Injection,
        Self::Aml,
        Self::AmlMonitor,
        Self::TokenExpired,
        Self::Other,
        Self::None,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Retry => "retry",
            Self::Submit => "submit",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Updated => "updated",
            Self::Delete => "delete",
            Self::Injection => "injection",
            Self::Aml => "aml",
            Self::AmlMonitor => "aml_monitor",
            Self::TokenExpired => "token_expired",
            Self::Other => "other",
            Self::None => "none",
        }
    }

    /// Whether it can say something about a token that a pool wants to know.
    pub(super) const fn tells(self) -> bool {
        matches!(
            self,
            Self::Created
                | Self::Retry
                | Self::Submit
                | Self::Approved
                | Self::Rejected
                | Self::Updated
        )
    }

    fn parse(text: &str) -> Self {
        match text {
            // The guide and the payload page spell it differently.
            "deleted" => Self::Delete,
            "none" | "other" => Self::Other,
            text => Self::ALL
                .into_iter()
                .find(|trigger| trigger.as_str() == text)
                .unwrap_or(Self::Other),
        }
    }
}

/// Reads a body that arrived at `now`.
pub(super) fn read(body: &[u8], now: Timestamp) -> (Trigger, Notice) {
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
        return (Trigger::None, Notice::Malformed);
    };
    let body = Value::Object(body);
    let Some(trigger) = body["webhook_trigger"].as_str() else {
        let sealed = body["data"].is_string();
        return (Trigger::None, if sealed { Notice::Sealed } else { Notice::Malformed });
    };
    let trigger = Trigger::parse(trigger);
    (trigger, notice(trigger, &body, now))
}

fn notice(trigger: Trigger, body: &Value, now: Timestamp) -> Notice {
    // The tokens of face authentication are another pool, in which our ids could be used as well.
    if body["service"] == "faceAuth" {
        return Notice::Unrelated;
    }
    let result = &body["kyc_result"];
    let (kind, told) = match trigger {
        Trigger::Created | Trigger::Retry => (FactKind::Started, &result["created_at"]),
        Trigger::Submit => (FactKind::Decided(Decision::Pending), &result["pending_at"]),
        Trigger::Approved => (FactKind::Decided(Decision::Approved), decided_at(result)),
        Trigger::Rejected => (FactKind::Decided(Decision::Rejected), decided_at(result)),
        Trigger::Updated => match decision(&body["data"]["kyc_result"]) {
            Some(decision) => (FactKind::Decided(decision), &body["update_time"]),
            None => return Notice::Unrelated,
        },
        // An expiry by time is announced ahead, and one by count follows a use that we hear of.
        Trigger::TokenExpired
        | Trigger::Delete
        | Trigger::Injection
        | Trigger::Aml
        | Trigger::AmlMonitor
        | Trigger::Other
        | Trigger::None => return Notice::Unrelated,
    };
    let named = ["tokenId", "token_id"].map(|key| body[key].as_str().unwrap_or_default());
    let Some(token) = named.into_iter().find(|text| !text.is_empty()) else {
        return Notice::NoToken;
    };
    let Ok(token) = TokenId::parse(token) else { return Notice::Foreign };
    let submission = body["submission_id"].as_str().unwrap_or_default();
    let at = told.as_str().and_then(timestamp).map_or(now, |told| told.min(now));
    let submission = SubmissionId::parse(submission).ok();
    let fact = Fact { kind, at, submission, updated: None, asked: false };
    Notice::Report(Report { token: Some(token), marks: Marks::default(), fact })
}

fn decided_at(result: &Value) -> &Value {
    let at = &result["kyc_result_at"];
    if at.is_string() { at } else { &result["updated_at"] }
}

fn decision(value: &Value) -> Option<Decision> {
    let text = value.as_str()?;
    Decision::ALL.into_iter().find(|decision| decision.as_str() == text)
}

/// A time as ARGOS writes it; what has no zone is not believed.
fn timestamp(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok().map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn fact_of(body: &str) -> Fact {
        let (_, notice) = read(body.as_bytes(), NOW);
        let Notice::Report(report) = notice else { panic!("no report: {notice:?}") };
        assert_eq!(report.token.unwrap().expose(), "kyc-000000000001a");
        report.fact
    }

    #[test]
    fn the_documented_triggers_tell_what_they_tell() {
        let body = |trigger: &str| {
            format!(
                r#"{{"webhook_trigger":"{trigger}","submission_id":"sub-1","tokenId":"kyc-000000000001a"}}"#
            )
        };
        for (trigger, kind) in [
            ("created", FactKind::Started),
            ("retry", FactKind::Started),
            ("submit", FactKind::Decided(Decision::Pending)),
            ("approved", FactKind::Decided(Decision::Approved)),
            ("rejected", FactKind::Decided(Decision::Rejected)),
        ] {
            let fact = fact_of(&body(trigger));
            assert_eq!(fact.kind, kind, "{trigger}");
            assert_eq!(fact.at, NOW, "{trigger}");
            assert_eq!(fact.submission.unwrap().as_str(), "sub-1", "{trigger}");
        }
    }

    #[test]
    fn an_administrator_s_verdict_arrives_as_an_update() {
        let body = |data: &str| {
            format!(
                r#"{{"webhook_trigger":"updated","data":{data},"update_time":"2026-01-12T02:23:13Z",
                    "token_id":"kyc-000000000001a"}}"#
            )
        };
        let fact = fact_of(&body(r#"{"update":["kycStatus"],"kyc_result":"rejected"}"#));
        assert_eq!(fact.kind, FactKind::Decided(Decision::Rejected));
        assert_eq!(fact.at, Timestamp::from_millis(1_768_184_593_000));
        for data in [r#"{"update":["email"]}"#, r#"{"kyc_result":"incomplete"}"#] {
            assert_eq!(read(body(data).as_bytes(), NOW).1, Notice::Unrelated, "{data}");
        }
    }

    #[test]
    fn a_time_ahead_of_ours_is_not_believed() {
        let body = |at: &str| {
            format!(
                r#"{{"webhook_trigger":"approved","tokenId":"kyc-000000000001a",
                    "kyc_result":{{"kyc_result_at":"{at}"}}}}"#
            )
        };
        for (text, at) in [
            ("2026-01-12T02:23:13.588Z", Timestamp::from_millis(1_768_184_593_588)),
            ("2126-01-12T02:23:13.588Z", NOW),
            ("2026-01-12 02:23:13", NOW),
            ("yesterday", NOW),
        ] {
            assert_eq!(fact_of(&body(text)).at, at, "{text}");
        }
    }

    #[test]
    fn what_moves_no_token_is_ignored() {
        for trigger in [
            "token_expired",
            "delete",
            "deleted",
            "aml",
            "aml_monitor",
            "injection",
            "brand_new",
            "none",
            "other",
        ] {
            let body =
                format!(r#"{{"webhook_trigger":"{trigger}","tokenId":"kyc-000000000001a"}}"#);
            let (counted, notice) = read(body.as_bytes(), NOW);
            assert_eq!(notice, Notice::Unrelated, "{trigger}");
            assert_ne!(counted, Trigger::None, "{trigger}");
        }
        let face =
            r#"{"webhook_trigger":"created","service":"faceAuth","token_id":"kyc-000000000001a"}"#;
        assert_eq!(read(face.as_bytes(), NOW).1, Notice::Unrelated);
    }

    #[test]
    fn what_cannot_be_tied_to_a_token_is_told_apart() {
        for (body, expected) in [
            (r#"{"webhook_trigger":"approved"}"#, Notice::NoToken),
            (r#"{"webhook_trigger":"approved","tokenId":""}"#, Notice::NoToken),
            (r#"{"webhook_trigger":"approved","tokenId":"a b"}"#, Notice::Foreign),
            (r#"{"data":"bm90IGZvciB1cw=="}"#, Notice::Sealed),
            (r#"{"data":{"kyc_result":"approved"}}"#, Notice::Malformed),
            (r#"{"webhook_trigger":7}"#, Notice::Malformed),
            ("[]", Notice::Malformed),
            ("{", Notice::Malformed),
            ("", Notice::Malformed),
        ] {
            assert_eq!(read(body.as_bytes(), NOW).1, expected, "{body}");
        }
    }
}
