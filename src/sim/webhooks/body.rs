//! The bodies of webhooks as contract 3.3 shows them, and the ways in which its sources differ.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Expiry, Trigger};
use crate::sim::{
    submissions::Submission,
    wire::{Millis, iso},
};

/// Where the sources of contract 9 disagree. Naming one member of a flavour names all: what is absent
/// is as in the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Flavour {
    /// The trigger is called `deleted` instead of `delete`.
    pub deleted: bool,
    pub token_key: TokenKey,
    /// `comment` and `commentCode` are arrays, as in GET, instead of texts.
    pub comment_array: bool,
    /// Every `token_expired` has a twin of the other pipeline: the same id, `service: faceAuth`.
    pub face_auth: bool,
}

/// The name under which a webhook carries the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKey {
    /// `token_id` in `token_expired` and `tokenId` elsewhere.
    #[default]
    Documented,
    /// `tokenId` everywhere.
    Camel,
    /// `token_id` everywhere.
    Snake,
}

/// The body about a submission; `identify` as in the settings.
pub(super) fn about(
    trigger: Trigger,
    submission: &Submission,
    now: Millis,
    identify: bool,
    flavour: Flavour,
) -> Value {
    let deleted = trigger == Trigger::Delete && flavour.deleted;
    let name = if deleted { "deleted" } else { trigger.as_str() };
    let text = |text: Option<&'static str>| match text {
        Some(text) if flavour.comment_array => json!([text]),
        text => json!(text),
    };
    let mut body = Map::new();
    body.insert("webhook_trigger".into(), json!(name));
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
                "comment": text(submission.comment), "commentCode": text(submission.comment_code),
            }));
        }
    }
    if let Some(email) = submission.person.email.as_ref().filter(|_| trigger != Trigger::Created) {
        body.insert("email".into(), json!(email));
    }
    let decision = matches!(trigger, Trigger::Submit | Trigger::Approved | Trigger::Rejected);
    if identify || !decision {
        let key = match flavour.token_key {
            TokenKey::Documented | TokenKey::Camel => "tokenId",
            TokenKey::Snake => "token_id",
        };
        body.insert(key.into(), json!(submission.token));
        if let Some(userid) = &submission.person.userid {
            body.insert("userid".into(), json!(userid));
        }
    }
    Value::Object(without_nulls(body))
}

/// The body about the expiry of a token.
pub(super) fn token_expired(token: &str, expiry: Expiry, service: &str, key: TokenKey) -> Value {
    let (condition, name, at) = match expiry {
        Expiry::Count { at } => ("count", "expired_at", at),
        Expiry::Time { expected_at } => ("time", "expected_expired_at", expected_at),
    };
    let key = match key {
        TokenKey::Camel => "tokenId",
        TokenKey::Documented | TokenKey::Snake => "token_id",
    };
    json!({
        "webhook_trigger": "token_expired", key: token, "expired_condition": condition,
        name: iso(at), "service": service,
    })
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
    use crate::sim::submissions::{Person, Status};

    fn body(trigger: Trigger, flavour: Flavour) -> Value {
        let person = Person { userid: Some("u1".into()), ..Person::default() };
        let mut submission = Submission::new("sub-1".into(), "token-aa".into(), person, 5);
        submission.becomes(Status::Rejected, 6);
        about(trigger, &submission, 7, true, flavour)
    }

    #[test]
    fn a_flavour_changes_names_and_shapes_and_nothing_else() {
        let plain = body(Trigger::Rejected, Flavour::default());
        assert_eq!(plain["tokenId"], "token-aa");
        assert!(plain["kyc_result"]["comment"].is_string());
        let arrays = Flavour { comment_array: true, ..Flavour::default() };
        let code = &body(Trigger::Rejected, arrays)["kyc_result"]["commentCode"];
        assert_eq!(*code, json!(["document_not_verified"]));
        assert!(body(Trigger::Created, arrays)["kyc_result"].get("comment").is_none());
        let snake = Flavour { token_key: TokenKey::Snake, ..Flavour::default() };
        let snake = body(Trigger::Updated, snake);
        assert_eq!((&snake["token_id"], snake.get("tokenId")), (&json!("token-aa"), None));
        let deleted = Flavour { deleted: true, ..Flavour::default() };
        assert_eq!(body(Trigger::Delete, deleted)["webhook_trigger"], "deleted");
        assert_eq!(body(Trigger::Delete, Flavour::default())["webhook_trigger"], "delete");
        let camel = token_expired("token-aa", Expiry::Count { at: 0 }, "idCheck", TokenKey::Camel);
        assert_eq!(camel["tokenId"], "token-aa");
    }
}
