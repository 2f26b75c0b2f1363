//! What a webhook says (contract 3.3): why it was sent, and what that makes known.
//!
//! Every field is optional over there. Where it is looked for, and what of it goes on, is
//! [`crate::argos::statement`]'s.

use serde_json::Value;

use crate::{
    argos::statement::{Named, Statement, Status},
    domain::{
        submission::{Fact, FactKind, Report},
        time::Timestamp,
        token::Decision,
    },
};

/// What a webhook comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Report(Report),
    /// It moves no token.
    Unrelated,
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
                | Self::TokenExpired
        )
    }

    fn parse(text: &str) -> Self {
        match text {
            // The guide and the payload page spell it differently.
            "deleted" => Self::Delete,
            "none" => Self::Other,
            text => Self::ALL
                .into_iter()
                .find(|trigger| trigger.as_str() == text)
                .unwrap_or(Self::Other),
        }
    }
}

/// Reads a body that arrived at `now`. Of a key that comes twice the last one counts.
pub(super) fn read(body: &[u8], now: Timestamp) -> (Trigger, Notice) {
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
        return (Trigger::None, Notice::Malformed);
    };
    let Some(trigger) = body.get("webhook_trigger").and_then(Value::as_str) else {
        let sealed = body.get("data").is_some_and(Value::is_string);
        return (Trigger::None, if sealed { Notice::Sealed } else { Notice::Malformed });
    };
    let trigger = Trigger::parse(trigger);
    // The tokens of face authentication are another pool, in which our ids could be used as well.
    let statement = Statement::of(&body);
    if statement.says("service", "faceAuth") {
        return (trigger, Notice::Unrelated);
    }
    (trigger, notice(trigger, statement, now))
}

fn notice(trigger: Trigger, statement: Statement<'_>, now: Timestamp) -> Notice {
    let status = statement.status();
    let mut at = statement.earliest(now);
    let mut updated = statement.updated();
    let kind = match trigger {
        Trigger::Created | Trigger::Retry => Some(FactKind::Started),
        Trigger::Submit => Some(decided(Decision::Pending, status)),
        Trigger::Approved => Some(decided(Decision::Approved, status)),
        Trigger::Rejected => Some(decided(Decision::Rejected, status)),
        Trigger::Updated => {
            updated = statement.time("update_time").or(updated);
            match statement.changed_status() {
                Some(Status::Decided(decision)) => Some(FactKind::Decided(decision)),
                Some(Status::Incomplete) | None => None,
            }
        }
        Trigger::TokenExpired => {
            at = statement.time("expired_at").map_or(now, |told| told.min(now));
            expired(statement)
        }
        // A submission that was deleted undoes no use of its token, and the rest comes after the verdict.
        Trigger::Delete
        | Trigger::Injection
        | Trigger::Aml
        | Trigger::AmlMonitor
        | Trigger::Other
        | Trigger::None => None,
    };
    let Some(kind) = kind else { return Notice::Unrelated };
    let token = match statement.token() {
        Named::Token(token) => Some(token),
        // The newest samples of decisions name no token; the submission is enough (contract 3.3).
        Named::Nobody => None,
        Named::Stranger => return Notice::Foreign,
    };
    let fact = Fact { kind, at, submission: statement.submission(), updated, asked: false };
    Notice::Report(Report { token, marks: statement.marks(), fact })
}

/// The trigger is what ARGOS sent the webhook for, so it counts where no status is told, or none that
/// is documented. A body that names another one of the four contradicts itself: it shows that somebody
/// was on the page and nothing more. The decision comes with its own webhook, or ARGOS is asked; late
/// is better than an approval that never was.
fn decided(decision: Decision, status: Option<Status>) -> FactKind {
    match status {
        Some(status) if status != Status::Decided(decision) => FactKind::Started,
        Some(_) | None => FactKind::Decided(decision),
    }
}

/// Only `count` says that somebody used the token. An expiry for any other reason ends admission at a
/// time that may lie ahead; without that time it says nothing.
fn expired(statement: Statement<'_>) -> Option<FactKind> {
    if statement.says("expired_condition", "count") {
        return Some(FactKind::Exhausted);
    }
    let ends = ["expected_expired_at", "expired_at"].into_iter();
    ends.filter_map(|name| statement.time(name)).next().map(FactKind::Expires)
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
