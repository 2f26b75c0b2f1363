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
pub enum Notice {
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
pub enum Trigger {
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
    pub const ALL: [Self; 13] = [
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

    pub const fn as_str(self) -> &'static str {
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
    pub const fn tells(self) -> bool {
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
pub fn read(body: &[u8], now: Timestamp) -> (Trigger, Notice) {
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
mod tests;
