//! The control side: everything a test or an operator can do to the simulated ARGOS.
//!
//! A [`Command`] is the same thing in process and over HTTP: `POST /_sim/<name>` with the fields as a
//! JSON object, the name's underscores written as `/` where that reads better (`liveform/start`).
//! Wherever `pid` is absent the first project is meant. Three things can be read: `GET /_sim/state`,
//! `/_sim/counters` and `/_sim/record`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    crowd::Crowd,
    faults::Script,
    keys::Key,
    liveform::Decision,
    rules::RuleChange,
    webhooks::WebhookSettings,
    wire::{Millis, iso},
    world::World,
};

/// A skip beyond this is a mistake, and further on is the end of the calendar.
const SKIP_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);
/// Foreign tokens added at once.
const FOREIGN_MAX: usize = 100_000;
/// Tokens in one page of the state dump and of the record.
pub(super) const STATE_PAGE: usize = 1_000;

/// One act of control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Adds a script of faults.
    Faults(Script),
    /// Takes all scripts away.
    ClearFaults {
        #[serde(default)]
        pid: Option<String>,
    },
    /// Moves the clock forward.
    Clock { skip_ms: u64 },
    /// Changes the rules of a project, its keys among them.
    Rules(RuleChange),
    /// Registers tokens as another writer of the project would: also past the cap.
    Foreign {
        #[serde(default)]
        pid: Option<String>,
        /// How many made-up ids; they begin with `prefix`, by default `foreign-`.
        #[serde(default)]
        count: usize,
        #[serde(default)]
        prefix: Option<String>,
        /// Ids given by name, besides.
        #[serde(default)]
        ids: Vec<String>,
    },
    /// Tokens disappear without a word, as by volume-based deletion (contract 2).
    Vanish {
        #[serde(default)]
        pid: Option<String>,
        #[serde(default)]
        oldest: usize,
        #[serde(default)]
        ids: Vec<String>,
    },
    /// Changes what happens to webhooks.
    Webhooks(WebhookSettings),
    /// Sends any body, through drop, duplicate, reorder and delay like all others.
    Webhook {
        #[serde(default)]
        pid: Option<String>,
        body: Value,
    },
    /// A visitor opens the link. The answer shows what it says: `says` has each parameter in force
    /// with its `value` and whether it was `sealed`, of the token only the end.
    LiveformOpen(Visit),
    /// A visitor opens the link, if that has not been done, and passes step 1.
    LiveformStart(Visit),
    /// ARGOS or its administrator decides.
    LiveformDecide {
        submission_id: String,
        decision: Decision,
        /// Tells it as `updated`.
        #[serde(default)]
        by_admin: bool,
    },
    /// Many people play the same plan, one link each. See [`Crowd`].
    Crowd(Crowd),
}

/// Somebody with a link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Visit {
    /// Equal names are one browser; absent is a visitor never seen before.
    pub visitor: Option<String>,
    /// The parameters of the link, such as `pid`, `token`, `userid`, `encrypted`.
    #[serde(flatten)]
    pub link: BTreeMap<String, String>,
}

/// Why a command was not carried out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    #[error("read the command: {0}")]
    Malformed(String),
    #[error("find the project")]
    ProjectUnknown,
    #[error("find the submission")]
    SubmissionUnknown,
    /// Calls find their project by it.
    #[error("give the project an api key that no other has")]
    KeyUnfit,
    #[error("skip at most ten years")]
    SkipTooFar,
    #[error("add at most 100000 foreign tokens")]
    TooManyForeign,
    /// The Liveform shows its error page; the cause as in `data-cause`.
    #[error("enter the liveform: {cause}")]
    Refused { cause: &'static str },
}

impl Command {
    /// The command of `POST /_sim/<name>`.
    pub(super) fn read(name: &str, body: &[u8]) -> Result<Self, ControlError> {
        let malformed = |error: serde_json::Error| ControlError::Malformed(error.to_string());
        let fields: Value = if body.is_empty() {
            json!({})
        } else {
            serde_json::from_slice(body).map_err(malformed)?
        };
        let name = name.replace(['/', '-'], "_");
        serde_json::from_value(json!({ name: fields })).map_err(malformed)
    }
}

impl World {
    /// Carries a command out and tells what came of it.
    pub fn control(&mut self, wall: Millis, command: Command) -> Result<Value, ControlError> {
        let now = self.advance(wall);
        match command {
            Command::Clock { skip_ms } => {
                let span = Duration::from_millis(skip_ms);
                if span > SKIP_MAX {
                    return Err(ControlError::SkipTooFar);
                }
                self.skip(span);
                let now = self.advance(wall);
                Ok(json!({"now": iso(now)}))
            }
            Command::Faults(script) => {
                let pid = script.pid.as_deref();
                let project = self.project(pid).ok_or(ControlError::ProjectUnknown)?;
                project.faults.add(script);
                Ok(json!({"faults": project.faults.scripts()}))
            }
            Command::ClearFaults { pid } => {
                let project = self.project(pid.as_deref()).ok_or(ControlError::ProjectUnknown)?;
                project.faults.clear();
                Ok(json!({"faults": []}))
            }
            Command::Rules(change) => {
                let pid = change.pid.as_deref();
                let pid = self.project(pid).ok_or(ControlError::ProjectUnknown)?.pid.clone();
                let key = change.api_key.as_ref().map(Key::expose);
                if key.is_some_and(|key| key.is_empty() || self.is_key_of_another(key, &pid)) {
                    return Err(ControlError::KeyUnfit);
                }
                let project = self.project(Some(&pid)).ok_or(ControlError::ProjectUnknown)?;
                project.change_rules(now, change);
                Ok(json!(project.rules))
            }
            Command::Foreign { pid, count, prefix, ids } => {
                let project = self.project(pid.as_deref()).ok_or(ControlError::ProjectUnknown)?;
                if count.max(ids.len()) > FOREIGN_MAX {
                    return Err(ControlError::TooManyForeign);
                }
                let prefix = prefix.unwrap_or_else(|| "foreign-".into());
                let made = (0..)
                    .map(|n| format!("{prefix}{n:08}"))
                    .filter(|id| project.pool.get(id).is_none())
                    .take(count);
                let all: Vec<String> = made.chain(ids).collect();
                project.register(now, all.iter().map(String::as_str), true);
                Ok(json!({"pool_size": project.pool.len()}))
            }
            Command::Vanish { pid, oldest, ids } => {
                let project = self.project(pid.as_deref()).ok_or(ControlError::ProjectUnknown)?;
                let mut all: Vec<Arc<str>> = project.pool.first(oldest, false);
                all.extend(ids.iter().map(|id| Arc::from(id.as_str())));
                let vanished = project.vanish(now, all.iter().map(|id| &**id));
                Ok(json!({"vanished": vanished, "pool_size": project.pool.len()}))
            }
            Command::Webhooks(settings) => {
                let pid = settings.pid.as_deref();
                let project = self.project(pid).ok_or(ControlError::ProjectUnknown)?;
                project.outbox.change(settings);
                Ok(json!({}))
            }
            Command::Webhook { pid, body } => {
                let project = self.project(pid.as_deref()).ok_or(ControlError::ProjectUnknown)?;
                project.outbox.send(&body);
                Ok(json!({}))
            }
            Command::LiveformOpen(visit) => {
                let (visitor, link) = self.visit(visit);
                let said = self
                    .open(wall, &link, &visitor)
                    .map_err(|refusal| ControlError::Refused { cause: refusal.cause() })?;
                Ok(json!({"visitor": visitor, "says": said.shown()}))
            }
            Command::LiveformStart(visit) => {
                let (visitor, link) = self.visit(visit);
                let submission_id = self
                    .start(wall, &link, &visitor)
                    .map_err(|refusal| ControlError::Refused { cause: refusal.cause() })?;
                Ok(json!({"visitor": visitor, "submission_id": submission_id}))
            }
            Command::LiveformDecide { submission_id, decision, by_admin } => {
                let status = self
                    .decide(wall, &submission_id, decision, by_admin)
                    .ok_or(ControlError::SubmissionUnknown)?;
                Ok(json!({"submission_id": submission_id, "status": status}))
            }
            Command::Crowd(Crowd { links, plan }) => Ok(json!(self.crowd(wall, &links, plan))),
        }
    }

    /// Everything about one project, its tokens by id from `offset` on, a page at a time.
    pub fn state(
        &mut self,
        wall: Millis,
        pid: Option<&str>,
        offset: usize,
    ) -> Result<Value, ControlError> {
        let now = self.advance(wall);
        let project = self.project(pid).ok_or(ControlError::ProjectUnknown)?;
        let tokens: Vec<Value> = project
            .pool
            .iter()
            .skip(offset)
            .take(STATE_PAGE)
            .map(|(id, token)| {
                json!({
                    "tokenId": **id, "updateTime": iso(token.updated_at),
                    "first_use": token.first_use.map(iso), "visitors": project.witness.visitors(id),
                    "expired": token.expired, "foreign": token.foreign,
                    "submissions": token.submissions,
                })
            })
            .collect();
        let next = offset + tokens.len();
        Ok(json!({
            "now": iso(now), "pid": project.pid, "cap": project.rules.cap,
            "pool_size": project.pool.len(), "tokens": tokens,
            "next_offset": (next < project.pool.len()).then_some(next),
            "submissions_total": project.submissions.len(),
            "submissions": project.submissions.iter().skip(offset).take(STATE_PAGE)
                .map(|submission| json!(submission)).collect::<Vec<_>>(),
            "webhooks": project.outbox.shown().iter()
                .map(|body| serde_json::from_str(body).unwrap_or(Value::Null))
                .collect::<Vec<Value>>(),
            "faults": project.faults.scripts(),
        }))
    }

    /// What became of every token, in the order of registration, a page at a time.
    pub(super) fn record_page(
        &mut self,
        wall: Millis,
        pid: Option<&str>,
        offset: usize,
    ) -> Result<Value, ControlError> {
        let (tokens, total) =
            self.record(wall, pid, offset, STATE_PAGE).ok_or(ControlError::ProjectUnknown)?;
        let next = offset + tokens.len();
        Ok(json!({
            "total": total, "tokens": tokens, "next_offset": (next < total).then_some(next),
        }))
    }

    /// Fills in what a visit leaves out.
    fn visit(&mut self, visit: Visit) -> (String, BTreeMap<String, String>) {
        let Visit { visitor, mut link } = visit;
        let visitor = visitor.unwrap_or_else(|| self.new_visitor());
        if let (false, Some(first)) = (link.contains_key("pid"), self.project(None)) {
            link.insert("pid".into(), first.pid.clone());
        }
        (visitor, link)
    }
}

#[cfg(test)]
mod tests;
