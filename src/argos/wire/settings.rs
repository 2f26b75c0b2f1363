//! The words of `GET /v3/projects/settings` (contract 6).
//!
//! ARGOS calls its answer a snapshot whose structure may change, so everything is optional, and nothing
//! that a pool does depends on it: it is for a person who wants to know why nothing works.

use serde_json::{Map, Value};

use super::{Reply, is_true, object, present};
use crate::domain::secret::Secret;

/// Below the base address of the interface.
pub const SETTINGS_PATH: &str = "/projects/settings";
/// The query that asks for the one category that is documented.
pub const SETTINGS_QUERY: &str = "category=management";

/// How a project is set at ARGOS; `None` stands for what was not said, or not understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManagementSettings {
    /// In lower case: `open`, `test`, `trial`, `close` (contract 8).
    pub status: Option<String>,
    /// The emergency stop: no Liveform takes a submission.
    pub stopped: Option<bool>,
    /// Addresses that may call the interface, as ARGOS writes them. Without any, ARGOS has no list. One
    /// that cannot be read makes all of them `None`: absence proves something only in a whole list.
    pub addresses: Option<Vec<String>>,
    /// Where webhooks go. Its path may hold the secret of the receiver.
    pub webhook_url: Option<Secret>,
}

impl Reply {
    /// `None` where no settings are in it.
    pub fn settings(&self) -> Option<ManagementSettings> {
        let item = object(&self.0, "item").unwrap_or(&self.0);
        let management = object(item, "management")?;
        let below = |place, name| present(object(management, place)?, name);
        Some(ManagementSettings {
            status: words(present(management, "projectStatus")),
            stopped: below("activateBlocking", "activate").and_then(flag),
            addresses: below("ipWhitelist", "api").and_then(addresses),
            webhook_url: below("webhook", "url")
                .and_then(Value::as_str)
                .map(|url| Secret::new(url.to_owned())),
        })
    }
}

fn words(value: Option<&Value>) -> Option<String> {
    Some(value?.as_str()?.trim().to_lowercase())
}

/// Nothing that is neither yes nor no is taken for either.
fn flag(value: &Value) -> Option<bool> {
    let no = match value {
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.eq_ignore_ascii_case("false") || text == "0",
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    };
    (no || is_true(value)).then_some(!no)
}

/// Each is a text, or an object with the text under a name.
fn addresses(value: &Value) -> Option<Vec<String>> {
    let named = |fields: &Map<String, Value>| {
        ["ip", "address", "cidr"].iter().find_map(|name| words(present(fields, name)))
    };
    let read = |entry: &Value| match entry {
        Value::String(_) => words(Some(entry)),
        Value::Object(fields) => named(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    };
    value.as_array()?.iter().map(read).collect()
}

#[cfg(test)]
mod tests;
