//! The words of `/v3/submission/tokens` (contract 1): request bodies, queries, and answers. Those of
//! `/v3/submission` are in [`submissions`], those of the project's own settings in [`settings`].
//!
//! ARGOS has published several generations of this interface, and no answer of it could be checked
//! against the live one. So an answer is read by looking for what we need under every name and in
//! every place it was seen, and whatever else it contains is ignored. What is missing is `None`; what
//! is there and cannot be understood is never taken for missing.

pub mod settings;
pub mod submissions;

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::domain::{ids::TokenId, paging::Cursor};

/// Below the base address of the interface.
pub const TOKENS_PATH: &str = "/submission/tokens";
/// ARGOS's own samples send JSON under this type, because `application/json` may fail (contract 1.3).
pub const CONTENT_TYPE: &str = "text/plain";
/// The header that our simulator puts on each of its answers. ARGOS knows nothing of it.
pub const SIMULATOR_MARK: &str = "x-argospool-simulator";

/// What stays readable in a query (RFC 3986, unreserved).
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const COUNT_NAMES: [&str; 5] = ["totalCount", "currentCount", "count", "total", "tokenCount"];
const LIST_NAMES: [&str; 4] = ["tokens", "items", "Items", "data"];
const ID_NAMES: [&str; 3] = ["tokenId", "token_id", "token"];

/// The calls that exist. What an answer means depends on which of them it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Register,
    Delete,
    Count,
    Find,
    List,
    FindSubmission,
    ListSubmissions,
    Settings,
}

impl Operation {
    /// As a metric label carries it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Delete => "delete",
            Self::Count => "count",
            Self::Find => "find",
            Self::List => "list",
            Self::FindSubmission => "find_submission",
            Self::ListSubmissions => "list_submissions",
            Self::Settings => "settings",
        }
    }

    /// Whether a body with ids belongs to it, the one thing that leaves from here sealed.
    pub const fn carries_ids(self) -> bool {
        match self {
            Self::Register | Self::Delete => true,
            Self::Count
            | Self::Find
            | Self::List
            | Self::FindSubmission
            | Self::ListSubmissions
            | Self::Settings => false,
        }
    }
}

/// The body of a registration or of a deletion.
pub fn batch_body(tokens: &[TokenId]) -> String {
    let ids: Vec<&str> = tokens.iter().map(TokenId::expose).collect();
    json!({ "tokenId": ids }).to_string()
}

/// The query that asks how many ids there are.
pub const COUNT_QUERY: &str = "type=count";

/// The query that asks for one id.
pub fn find_query(token: &TokenId) -> String {
    format!("tokenId={}", utf8_percent_encode(token.expose(), QUERY))
}

/// The query that asks for a page of the listing; `None` where it is the first one.
///
/// The names of the parameters are not documented and taken to be those of the answer (contract 1.4).
pub fn list_query(cursor: &Cursor) -> String {
    let [id, time] = [&cursor.id, &cursor.time].map(|text| utf8_percent_encode(text, QUERY));
    format!("nextPageKeyId={id}&nextPageKeyTime={time}")
}

/// One id as ARGOS knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub token: TokenId,
    /// Known, but refused at the Liveform. Absent in the answer means `false` (contract 1.4).
    pub expired: bool,
    /// As ARGOS writes it.
    pub updated: Option<String>,
}

/// One page of the listing. Pages are read one after another and are no snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// Entries that carry no id as ARGOS itself defines it. Above zero, absence proves nothing.
    pub unreadable: u32,
    /// How many ids there are, where the page says so.
    pub count: Option<u32>,
    /// `None` after the last page. Whoever walks must also stop when a page repeats.
    pub next: Option<Cursor>,
}

/// A number in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    Number(u64),
    /// Something stands there, and it is no count.
    Garbled,
}

/// The JSON object that an answer is.
pub struct Reply(Map<String, Value>);

impl Reply {
    /// `None` for anything that is not a JSON object. An envelope that no key opened has only a `data`
    /// text, in which nothing can be found.
    pub fn parse(body: &[u8]) -> Option<Self> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(object)) => Some(Self(object)),
            Ok(_) | Err(_) => None,
        }
    }

    /// Whether it says in so many words that the call did not succeed.
    pub fn says_no(&self) -> bool {
        match present(&self.0, "success") {
            None => false,
            Some(value) => !is_true(value),
        }
    }

    /// Whether it says in so many words that the call succeeded.
    pub fn says_yes(&self) -> bool {
        present(&self.0, "success").is_some_and(is_true)
    }

    /// The code of an error. One that is no text is a code that nobody knows.
    pub fn error_code(&self) -> Option<&str> {
        present(&self.0, "errorCode").map(|code| code.as_str().unwrap_or("?"))
    }

    /// Every text that explains an error, one after another, in lower case. It may repeat secrets.
    pub fn error_message(&self) -> String {
        let names = ["errorMessage", "message", "Message"];
        let texts = names.iter().filter_map(|name| self.0.get(*name)?.as_str());
        texts.collect::<Vec<_>>().join(" ").to_lowercase()
    }

    /// The numbers that stand under a name, at the top or in `summary`. A list counts its entries.
    pub fn figures(&self, name: &str) -> impl Iterator<Item = Figure> {
        [Some(&self.0), object(&self.0, "summary")]
            .into_iter()
            .flatten()
            .filter_map(move |place| present(place, name))
            .map(figure)
    }

    /// How many of something `details` lists; `None` where it lists none.
    pub fn listed(&self, name: &str) -> Option<Figure> {
        present(object(&self.0, "details")?, name).map(figure)
    }

    /// Whether `details` says anything besides what stands under `known`. Its shape is not
    /// documented; it appears only where something failed (contract 1.3).
    pub fn details_beside(&self, known: Option<&str>) -> bool {
        match present(&self.0, "details") {
            None => false,
            Some(Value::Object(details)) => details
                .iter()
                .any(|(name, value)| Some(name.as_str()) != known && !is_hollow(value)),
            Some(other) => !is_hollow(other),
        }
    }

    /// How many ids there are, under whatever name and in whatever place.
    pub fn count(&self) -> Option<u32> {
        let data = object(&self.0, "data");
        let nested = data.and_then(|data| object(data, "summary"));
        let places = [Some(&self.0), object(&self.0, "summary"), data, nested];
        let named = COUNT_NAMES.iter().find_map(|name| {
            places.iter().flatten().find_map(|place| present(place, name)).map(number)
        });
        // A bare number under `data` is the remaining way to put it.
        let found = named.or_else(|| present(&self.0, "data").map(number))?;
        match found {
            Figure::Number(count) => u32::try_from(count).ok(),
            Figure::Garbled => None,
        }
    }

    /// The one id that was asked for.
    pub fn entry(&self) -> Option<Entry> {
        let below = object(&self.0, "data").and_then(entry);
        let above = entry(&self.0);
        match (below, above) {
            (Some(below), Some(above)) if below.token != above.token => None,
            (Some(below), _) => Some(below),
            (None, above) => above,
        }
    }

    /// One page of the listing; `None` where there is no list in it.
    pub fn page(&self) -> Option<Page> {
        let data = object(&self.0, "data");
        let places: Vec<&Map<String, Value>> =
            [Some(&self.0), data].into_iter().flatten().collect();
        let list = places.iter().find_map(|place| {
            LIST_NAMES.iter().find_map(|name| place.get(*name).and_then(Value::as_array))
        })?;
        let mut page = Page { count: self.count(), ..Page::default() };
        for item in list {
            let read = match item {
                Value::String(id) => plain_entry(id),
                Value::Object(fields) => entry(fields),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
            };
            match read {
                Some(entry) => page.entries.push(entry),
                None => page.unreadable = page.unreadable.saturating_add(1),
            }
        }
        page.next = places.iter().find_map(|place| {
            let id = text(present(place, "nextPageKeyId")?)?;
            let time = text(present(place, "nextPageKeyTime")?)?;
            Some(Cursor { id, time })
        });
        Some(page)
    }
}

/// An answer may repeat token ids.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply(…)")
    }
}

/// What stands under a name; null and empty texts stand for nothing.
fn present<'a>(place: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    place.get(name).filter(|value| !value.is_null() && value.as_str() != Some(""))
}

fn object<'a>(place: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    place.get(name).and_then(Value::as_object)
}

fn entry(fields: &Map<String, Value>) -> Option<Entry> {
    let id = ID_NAMES.iter().find_map(|name| present(fields, name))?.as_str()?;
    Some(Entry {
        expired: present(fields, "expired").is_some_and(is_true),
        updated: present(fields, "updateTime").and_then(text),
        ..plain_entry(id)?
    })
}

fn plain_entry(id: &str) -> Option<Entry> {
    Some(Entry { token: TokenId::parse(id).ok()?, expired: false, updated: None })
}

/// `true`, `"true"` and `1`: which of them ARGOS means is not documented.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_u64() == Some(1),
        Value::String(text) => text.eq_ignore_ascii_case("true") || text == "1",
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

fn figure(value: &Value) -> Figure {
    match value {
        Value::Array(entries) => Figure::Number(entries.len() as u64),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            number(value)
        }
    }
}

fn number(value: &Value) -> Figure {
    let read = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
    read.map_or(Figure::Garbled, Figure::Number)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether there is nothing in it, however deep.
fn is_hollow(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(entries) => entries.iter().all(is_hollow),
        Value::Object(fields) => fields.values().all(is_hollow),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(body: &str) -> Reply {
        Reply::parse(body.as_bytes()).unwrap()
    }

    fn token(id: &str) -> TokenId {
        TokenId::parse(id).unwrap()
    }

    #[test]
    fn a_batch_is_written_as_the_contract_shows_it() {
        let body = batch_body(&[token("kyc-000000000001a"), token("kyc-000000000002b")]);
        assert_eq!(body, r#"{"tokenId":["kyc-000000000001a","kyc-000000000002b"]}"#);
    }

    #[test]
    fn a_cursor_is_encoded_into_its_query() {
        let body = r#"{"data":[],"nextPageKeyId":"kyc-0000001","nextPageKeyTime":"2026-01-15T10:30:45+09:00"}"#;
        let next = reply(body).page().unwrap().next.unwrap();
        assert_eq!(
            list_query(&next),
            "nextPageKeyId=kyc-0000001&nextPageKeyTime=2026-01-15T10%3A30%3A45%2B09%3A00"
        );
        assert_eq!(format!("{next:?}"), "Cursor(…)");
    }

    #[test]
    fn a_count_is_found_under_every_name_and_in_every_place() {
        for body in [
            r#"{"success":true,"count":7}"#,
            r#"{"success":true,"currentCount":7}"#,
            r#"{"success":true,"totalCount":"7"}"#,
            r#"{"data":{"count":7}}"#,
            r#"{"data":{"summary":{"totalCount":7}}}"#,
            r#"{"summary":{"currentCount":7}}"#,
            r#"{"data":7}"#,
            r#"{"count":null,"data":{"count":7},"unknown":[1,2]}"#,
        ] {
            assert_eq!(reply(body).count(), Some(7), "{body}");
        }
        for body in [
            r#"{"success":true}"#,
            r#"{"count":-7}"#,
            r#"{"count":7.5}"#,
            r#"{"count":"many","data":{"count":7}}"#,
            r#"{"count":4294967296}"#,
            r#"{"data":"YmFzZTY0"}"#,
        ] {
            assert_eq!(reply(body).count(), None, "{body}");
        }
    }

    #[test]
    fn a_listing_is_found_under_every_name() {
        for body in [
            r#"{"data":["kyc-0000001",{"tokenId":"kyc-0000002"}]}"#,
            r#"{"tokens":[{"tokenId":"kyc-0000001"},{"token_id":"kyc-0000002"}]}"#,
            r#"{"items":[{"token":"kyc-0000001"},{"tokenId":"kyc-0000002","more":{}}]}"#,
            r#"{"data":{"tokens":["kyc-0000001","kyc-0000002"]}}"#,
        ] {
            let page = reply(body).page().unwrap();
            let ids: Vec<&str> = page.entries.iter().map(|entry| entry.token.expose()).collect();
            assert_eq!(ids, ["kyc-0000001", "kyc-0000002"], "{body}");
            assert_eq!((page.unreadable, page.next), (0, None), "{body}");
        }
        assert_eq!(reply(r#"{"success":true}"#).page(), None);
    }

    #[test]
    fn an_entry_without_a_readable_id_is_counted_and_not_passed_over() {
        let page = reply(r#"{"data":["no",{"tokenId":"kyc-0000002"},7]}"#).page().unwrap();
        assert_eq!((page.entries.len(), page.unreadable), (1, 2));
    }

    #[test]
    fn expiry_is_read_from_true_and_its_relatives() {
        for (value, expired) in [
            ("true", true),
            (r#""true""#, true),
            ("1", true),
            ("false", false),
            (r#""false""#, false),
            ("0", false),
            ("null", false),
        ] {
            let body = format!(r#"{{"data":{{"tokenId":"kyc-0000001","expired":{value}}}}}"#);
            assert_eq!(reply(&body).entry().unwrap().expired, expired, "{value}");
        }
    }

    #[test]
    fn a_listing_ends_when_either_key_is_missing() {
        for body in [
            r#"{"data":[],"nextPageKeyId":"kyc-0000001"}"#,
            r#"{"data":[],"nextPageKeyTime":"2026"}"#,
            r#"{"data":[],"nextPageKeyId":null,"nextPageKeyTime":"2026"}"#,
            r#"{"data":[],"nextPageKeyId":"","nextPageKeyTime":""}"#,
        ] {
            assert_eq!(reply(body).page().unwrap().next, None, "{body}");
        }
        assert!(
            reply(r#"{"data":[],"nextPageKeyId":"k","nextPageKeyTime":1768}"#)
                .page()
                .unwrap()
                .next
                .is_some()
        );
    }
}
