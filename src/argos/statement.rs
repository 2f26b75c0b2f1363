//! What ARGOS says about a submission, wherever it says it: in a webhook, in a list, or when asked.
//!
//! The same thing comes under several names, in several shapes and places (contract 3.3, 7 and 9), so
//! all of them are looked at, and whatever else is there is ignored. What is missing is `None`.
//!
//! A statement is full of names, addresses and dates of birth. Only ids, decisions and times leave
//! here, and of the values that others chose only those that are as long as a mark of ours: every
//! other one ends with the text it came in (P1).

use std::ops::Range;

use serde_json::{Map, Value};

use crate::domain::{
    ids::{SubmissionId, TokenId},
    limits::MARK_BYTES,
    submission::Marks,
    time::Timestamp,
    token::Decision,
};

/// In the order in which they are believed; the last may name something else in other generations.
const TOKEN_NAMES: [&str; 3] = ["tokenId", "token_id", "token"];
const MARK_NAMES: [&str; 4] = ["userid", "cf1", "cf2", "cf3"];
const STATUS_NAMES: [&str; 2] = ["kyc_result", "kyc"];
const TIME_NAMES: [&str; 5] =
    ["created_at", "pending_at", "kyc_result_at", "updated_at", "update_time"];

/// Years 2020 to 2099. Anything else stands for "no time", such as zero or the last day of 9999, and
/// would begin sessions in another century or be newer than every decision to come.
const BELIEVED: Range<Timestamp> =
    Timestamp::from_millis(1_577_836_800_000)..Timestamp::from_millis(4_102_444_800_000);

/// The JSON object that speaks of one submission.
#[derive(Clone, Copy)]
pub struct Statement<'a>(&'a Map<String, Value>);

/// Whose token is named.
#[derive(Debug, PartialEq, Eq)]
pub enum Named {
    /// Nobody's, or nothing that could be a name.
    Nobody,
    Token(TokenId),
    /// A text that cannot be an id of ours. With pre-registration off any text is a token (contract 2).
    Stranger,
}

/// Where a submission stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Incomplete,
    Decided(Decision),
}

impl<'a> Statement<'a> {
    pub const fn of(fields: &'a Map<String, Value>) -> Self {
        Self(fields)
    }

    /// At the top or, in some generations of the single look-up, below `data`.
    pub fn token(self) -> Named {
        let places = [Some(self.0), self.below("data")].into_iter().flatten();
        let mut named = places
            .flat_map(|place| TOKEN_NAMES.iter().filter_map(|name| place.get(*name)?.as_str()));
        match named.find(|text| !text.is_empty()).map(TokenId::parse) {
            None => Named::Nobody,
            Some(Ok(token)) => Named::Token(token),
            Some(Err(_)) => Named::Stranger,
        }
    }

    pub fn submission(self) -> Option<SubmissionId> {
        match self.0.get("submission_id")? {
            Value::String(text) => SubmissionId::parse(text).ok(),
            Value::Number(number) => SubmissionId::parse(&number.to_string()).ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// What may be a mark of ours, of all that the link carried. Webhooks echo it below `cf` or at the
    /// top, answers below `data`.
    pub fn marks(self) -> Marks {
        let places = [Some(self.0), self.below("cf"), self.below("data")].into_iter().flatten();
        let echoed = places
            .flat_map(|place| MARK_NAMES.iter().filter_map(|name| place.get(*name)?.as_str()));
        Marks(echoed.filter(|text| text.len() == MARK_BYTES).map(Into::into).collect())
    }

    /// `None`: nothing is said that we understand.
    pub fn status(self) -> Option<Status> {
        let told = STATUS_NAMES.iter().filter_map(|name| self.0.get(*name));
        let mut words = told.flat_map(|told| {
            let below = ["status", "result"].map(|name| told.get(name));
            [Some(told)].into_iter().chain(below).flatten().filter_map(Value::as_str)
        });
        words.find_map(Status::parse)
    }

    /// The same where it is told as a change.
    pub fn changed_status(self) -> Option<Status> {
        self.below("data").and_then(|data| Self(data).status()).or_else(|| self.status())
    }

    /// The earliest of ARGOS's own times and `now`, when it reached us: the first use lies no later
    /// than any of them.
    pub fn earliest(self, now: Timestamp) -> Timestamp {
        let places = self.status_places();
        let told = places.flat_map(|place| TIME_NAMES.iter().filter_map(|name| at(place, name)));
        told.fold(now, Timestamp::min)
    }

    /// ARGOS's own order of what it says about one submission. Never taken for our time, so one that
    /// lies ahead of it is as good as any.
    pub fn updated(self) -> Option<Timestamp> {
        let mut places = self.status_places();
        places.find_map(|place| at(place, "updated_at")).or_else(|| self.time("update_time"))
    }

    /// Whether this word stands under this name.
    pub fn says(self, name: &str, word: &str) -> bool {
        let told = self.0.get(name).and_then(Value::as_str);
        told.is_some_and(|told| told.eq_ignore_ascii_case(word))
    }

    /// The time under this name.
    pub fn time(self, name: &str) -> Option<Timestamp> {
        at(self.0, name)
    }

    fn status_places(self) -> impl Iterator<Item = &'a Map<String, Value>> {
        let below = STATUS_NAMES.into_iter().filter_map(move |name| self.below(name));
        below.chain([self.0])
    }

    fn below(self, name: &str) -> Option<&'a Map<String, Value>> {
        self.0.get(name)?.as_object()
    }
}

impl Status {
    fn parse(text: &str) -> Option<Self> {
        let is = |word: &str| text.trim().eq_ignore_ascii_case(word);
        if is("incomplete") {
            return Some(Self::Incomplete);
        }
        Decision::ALL.into_iter().find(|decision| is(decision.as_str())).map(Self::Decided)
    }
}

/// A time as ARGOS writes it: RFC 3339, or the `YYYY-MM-DD-HH-MM-SS-ZZZ` of contract 7.
///
/// What has no zone is not believed. Seoul is nine hours from UTC, and a guess between them would put
/// decisions into the wrong order for good; without a time they are contested, and ARGOS is asked.
pub fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let at = text.parse::<jiff::Timestamp>().ok().or_else(|| with_dashes(text))?;
    let at = Timestamp::from_millis(u64::try_from(at.as_millisecond()).ok()?);
    BELIEVED.contains(&at).then_some(at)
}

fn with_dashes(text: &str) -> Option<jiff::Timestamp> {
    let (date, rest) = text.split_at_checked("YYYY-MM-DD".len())?;
    let (clock, zone) = rest.strip_prefix('-')?.split_at_checked("HH-MM-SS".len())?;
    let clock = clock.replace('-', ":");
    let offset = match zone.strip_prefix('-').unwrap_or(zone) {
        "UTC" | "GMT" | "Z" => "Z",
        // ARGOS's own.
        "KST" => "+09:00",
        offset if offset.starts_with(['+', '-']) => offset,
        _ => return None,
    };
    format!("{date}T{clock}{offset}").parse().ok()
}

fn at(place: &Map<String, Value>, name: &str) -> Option<Timestamp> {
    time(place.get(name)?.as_str()?)
}

#[cfg(test)]
mod tests;
