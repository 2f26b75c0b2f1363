//! The rules of one simulated project: the limits of contract 1.1, the settings of contract 2, and the
//! shapes in which the documentation leaves an answer open.
//!
//! Everything here can be changed while the simulator runs, by `POST /_sim/rules`.

use serde::{Deserialize, Serialize};

use super::{keys::Key, sealed::Cipher, wire::Millis};

/// What happens to a POST that would pass the cap; which of the two ARGOS does is unknown
/// (contract 1.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// Nothing of it is stored.
    #[default]
    Refuse,
    /// What fits is stored; the answer is the same error.
    StorePart,
}

/// The project's token expiration condition (contract 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "condition", rename_all = "snake_case", deny_unknown_fields)]
pub enum Expiration {
    /// Tokens expire by the rules of private mode alone, and no webhook tells.
    #[default]
    Off,
    /// With the first decided submission.
    Count {
        #[serde(default)]
        delete: bool,
    },
    /// This long after first use; the webhook goes out at first use, with the time to come.
    Time {
        after_ms: u64,
        #[serde(default)]
        delete: bool,
    },
}

/// Volume-based automatic deletion (contract 2): oldest first, used or not, and nobody is told.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeDeletion {
    /// Share of the cap, from 0 to 1, from which on tokens are deleted; 0 switches it off.
    pub start_ratio: f64,
    /// Share of the pool, from 0 to 1, that one run deletes; at least one token.
    #[serde(default)]
    pub delete_ratio: f64,
    /// Rest after a run. Five minutes at ARGOS; shorter only to save a test its patience.
    #[serde(default = "five_minutes")]
    pub wait_ms: u64,
}

fn five_minutes() -> u64 {
    300_000
}

/// The member of a listing that holds the tokens; which one ARGOS uses is unknown (contract 1.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListName {
    #[default]
    Data,
    Tokens,
    Items,
}

impl ListName {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Tokens => "tokens",
            Self::Items => "items",
        }
    }
}

/// How `expired` is written; which one ARGOS uses is unknown (contract 1.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiredShape {
    /// `true`; absent where it is not.
    #[default]
    Bool,
    /// `"true"`; absent where it is not.
    Text,
    /// `1`; absent where it is not.
    Number,
}

/// Where GET by `submission_id` shows the token; the place is unknown (contract 7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenPlace {
    /// `tokenId` beside `submission_id`.
    #[default]
    Top,
    /// `data.tokenId`.
    Data,
    Absent,
}

/// How GET writes the times of a submission (contract 7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestampShape {
    /// `2026-01-15T10:30:45.123Z`.
    #[default]
    Rfc3339,
    /// `2026-01-15-10-30-45-UTC`, as the documentation's placeholder reads; without milliseconds.
    Dashed,
    /// Only the cursor carries one.
    Absent,
}

/// In which order GET lists submissions; undocumented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubmissionOrder {
    #[default]
    OldestFirst,
    NewestFirst,
}

/// What a project verifies; each has parameters that are an error in the other (contract 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pipeline {
    /// An identity document.
    #[default]
    IdDocument,
    /// What a person knows.
    Knowledge,
}

/// A change to the rules of one project; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleChange {
    /// `None`: the first project.
    pub pid: Option<String>,
    /// A cap below the pool keeps what is there.
    pub cap: Option<usize>,
    pub ids_per_call: Option<usize>,
    pub body_bytes: Option<usize>,
    pub overflow: Option<Overflow>,
    pub expiration: Option<Expiration>,
    pub encryption_only: Option<bool>,
    pub pipeline: Option<Pipeline>,
    /// What opens `encrypted`.
    pub link_cipher: Option<Cipher>,
    /// A new API key: calls under the one before are forbidden from here on (contract 6).
    pub api_key: Option<Key>,
    /// A new secretKey for links; empty takes it away.
    pub secret_key: Option<Key>,
    /// Secure Data Transfer (contract 1.6): request bodies, answers and webhooks are sealed.
    pub secure_transfer: Option<bool>,
    /// What seals answers and webhooks. Requests open with it and with ECB.
    pub transfer_cipher: Option<Cipher>,
    /// Whether Secure Data Transfer seals error bodies as well; unknown (contract 10).
    pub sealed_errors: Option<bool>,
    /// Shown in the settings, and asked of nobody.
    pub ip_whitelist: Option<Vec<String>>,
    /// Shown in the settings; empty takes it away.
    pub form_return_url: Option<String>,
    /// How long after its start an `incomplete` submission is rejected by itself, told as
    /// `rejected` (contract 7: after hours); 0 switches it off.
    pub abandoned_after_ms: Option<u64>,
    pub volume_deletion: Option<VolumeDeletion>,
    /// Tokens in one page of a listing, at least 1.
    pub list_page: Option<usize>,
    pub list_name: Option<ListName>,
    pub expired_as: Option<ExpiredShape>,
    pub token_place: Option<TokenPlace>,
    pub timestamps: Option<TimestampShape>,
    pub submission_order: Option<SubmissionOrder>,
}

/// The rules as they stand.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Rules {
    pub(super) cap: usize,
    pub(super) ids_per_call: usize,
    pub(super) body_bytes: usize,
    pub(super) overflow: Overflow,
    pub(super) expiration: Expiration,
    /// Links show `pid`, `encrypted` and `lang`; whatever else is plain is ignored (contract 4).
    pub(super) encryption_only: bool,
    pub(super) pipeline: Pipeline,
    pub(super) link_cipher: Cipher,
    pub(super) secure_transfer: bool,
    pub(super) transfer_cipher: Cipher,
    pub(super) sealed_errors: bool,
    pub(super) ip_whitelist: Vec<String>,
    pub(super) form_return_url: Option<String>,
    pub(super) abandoned_after_ms: Option<Millis>,
    pub(super) volume_deletion: Option<VolumeDeletion>,
    pub(super) list_page: usize,
    pub(super) list_name: ListName,
    pub(super) expired_as: ExpiredShape,
    pub(super) token_place: TokenPlace,
    pub(super) timestamps: TimestampShape,
    pub(super) submission_order: SubmissionOrder,
}

impl Rules {
    /// ARGOS as the current pages describe it, with nothing that deletes by itself.
    pub(super) fn new(cap: usize) -> Self {
        Self {
            cap,
            ids_per_call: 500,
            body_bytes: 10 * 1024 * 1024, // the limit of an API gateway
            overflow: Overflow::default(),
            expiration: Expiration::default(),
            encryption_only: false,
            pipeline: Pipeline::default(),
            link_cipher: Cipher::default(),
            secure_transfer: false,
            transfer_cipher: Cipher::default(),
            sealed_errors: false,
            ip_whitelist: Vec::new(),
            form_return_url: None,
            abandoned_after_ms: None,
            volume_deletion: None,
            list_page: 10_000, // contract 1.4
            list_name: ListName::default(),
            expired_as: ExpiredShape::default(),
            token_place: TokenPlace::default(),
            timestamps: TimestampShape::default(),
            submission_order: SubmissionOrder::default(),
        }
    }

    pub(super) fn change(&mut self, change: RuleChange) {
        let RuleChange {
            pid: _,
            // The project keeps its keys itself.
            api_key: _,
            secret_key: _,
            cap,
            ids_per_call,
            body_bytes,
            overflow,
            expiration,
            encryption_only,
            pipeline,
            link_cipher,
            secure_transfer,
            transfer_cipher,
            sealed_errors,
            ip_whitelist,
            form_return_url,
            abandoned_after_ms,
            volume_deletion,
            list_page,
            list_name,
            expired_as,
            token_place,
            timestamps,
            submission_order,
        } = change;
        set(&mut self.cap, cap);
        set(&mut self.ids_per_call, ids_per_call);
        set(&mut self.body_bytes, body_bytes);
        set(&mut self.overflow, overflow);
        set(&mut self.expiration, expiration);
        set(&mut self.encryption_only, encryption_only);
        set(&mut self.pipeline, pipeline);
        set(&mut self.link_cipher, link_cipher);
        set(&mut self.secure_transfer, secure_transfer);
        set(&mut self.transfer_cipher, transfer_cipher);
        set(&mut self.sealed_errors, sealed_errors);
        set(&mut self.ip_whitelist, ip_whitelist);
        set(
            &mut self.form_return_url,
            form_return_url.map(|url| Some(url).filter(|url| !url.is_empty())),
        );
        let span = |ms: u64| (ms > 0).then(|| Millis::try_from(ms).unwrap_or(Millis::MAX));
        set(&mut self.abandoned_after_ms, abandoned_after_ms.map(span));
        let rule = |rule: VolumeDeletion| (rule.start_ratio > 0.0).then_some(rule);
        set(&mut self.volume_deletion, volume_deletion.map(rule));
        set(&mut self.list_page, list_page.map(|page| page.max(1)));
        set(&mut self.list_name, list_name);
        set(&mut self.expired_as, expired_as);
        set(&mut self.token_place, token_place);
        set(&mut self.timestamps, timestamps);
        set(&mut self.submission_order, submission_order);
    }
}

fn set<T>(rule: &mut T, change: Option<T>) {
    if let Some(value) = change {
        *rule = value;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_that_is_not_named_stays_and_zero_switches_off() {
        let mut rules = Rules::new(10);
        let change = |value| serde_json::from_value::<RuleChange>(value).unwrap();
        rules.change(change(json!({"abandoned_after_ms": 5,
            "volume_deletion": {"start_ratio": 0.9, "delete_ratio": 0.1}})));
        rules.change(change(json!({"list_page": 2})));
        assert_eq!((rules.abandoned_after_ms, rules.list_page), (Some(5), 2));
        assert_eq!(rules.volume_deletion.unwrap().wait_ms, 300_000);
        rules.change(change(json!({"abandoned_after_ms": 0, "list_page": 0,
            "volume_deletion": {"start_ratio": 0.0}})));
        assert_eq!((rules.abandoned_after_ms, rules.volume_deletion), (None, None));
        assert_eq!(rules.list_page, 1, "a page of none would never end");
    }
}
