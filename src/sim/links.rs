//! What a link says (contract 4): which of its parameters are in force, and where each of them stood.
//!
//! Where the documentation leaves a question open, the link is refused or says less than its maker
//! meant: what must be sealed opens the error page when it is plain, a switch that is sealed as a text
//! switches nothing, and a plain `sid` or `action` takes everything sealed out of force.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    refusal::Refusal,
    rules::{Pipeline, Rules},
    wire::from_iso,
};

pub(super) const TOKEN: &str = "token";
pub(super) const START_VALID_UNTIL: &str = "startValidUntil";
/// Characters of a token that are shown.
const TOKEN_SHOWN: usize = 4;
const ENCRYPTED: &str = "encrypted";
/// In the counters: a parameter that ARGOS does not know.
const OTHER: &str = "other";

/// Where a parameter may stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Plain,
    Either,
    Sealed,
}

const KNOWN: [(&str, Place); 28] = [
    ("pid", Place::Plain),
    ("lang", Place::Plain),
    (TOKEN, Place::Either),
    ("email", Place::Either),
    ("userid", Place::Either),
    ("cf1", Place::Either),
    ("cf2", Place::Either),
    ("cf3", Place::Either),
    ("blacklistCountries", Place::Either),
    ("approvePeriod", Place::Either),
    ("rejectPeriod", Place::Either),
    ("ageLimit", Place::Either),
    (REJECT_DUPLICATE_USER, Place::Either),
    ("sid", Place::Either),
    ("action", Place::Either),
    ("allowedCountries", Place::Sealed),
    ("allowedIdTypes", Place::Sealed),
    ("selectedIssuingCountry", Place::Sealed),
    ("selectedIdType", Place::Sealed),
    ("auxidField", Place::Sealed),
    ("projectionId", Place::Sealed),
    ("projectionName", Place::Sealed),
    ("knowledgeField", Place::Sealed),
    ("knowledgePrefill", Place::Sealed),
    (START_VALID_UNTIL, Place::Sealed),
    // Where these three may stand is not published.
    ("allowedDocumentFields", Place::Sealed),
    ("mainColor", Place::Sealed),
    ("innerColor", Place::Sealed),
];

/// A link with one of these injects into a submission.
const INJECTION: [&str; 2] = ["sid", "action"];
/// Only `false` has effect: it switches the policy off.
const POLICIES: [&str; 4] = ["blacklistCountries", "approvePeriod", "rejectPeriod", "ageLimit"];
/// `true` and `false` have effect.
const REJECT_DUPLICATE_USER: &str = "rejectDuplicateUser";

const ONLY_KNOWLEDGE: [&str; 2] = ["knowledgeField", "knowledgePrefill"];
const ONLY_ID_DOCUMENT: [&str; 3] = ["auxidField", "approvePeriod", "rejectPeriod"];

/// One parameter in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Parameter {
    pub(super) value: String,
    /// Whether it stood inside `encrypted`.
    pub(super) sealed: bool,
}

/// All that a link says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) in_force: BTreeMap<&'static str, Parameter>,
    /// What it said in vain.
    pub(super) in_vain: Vec<&'static str>,
}

impl Said {
    /// The value of a parameter in force.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.in_force.get(name).map(|parameter| parameter.value.as_str())
    }

    /// What may be shown: everything in force, but of the token no more than its end.
    pub(super) fn shown(&self) -> BTreeMap<&'static str, Parameter> {
        let mut shown = self.in_force.clone();
        if let Some(token) = shown.get_mut(TOKEN) {
            let end = token.value.char_indices().rev().nth(TOKEN_SHOWN - 1);
            token.value = format!("…{}", end.map_or("", |(at, _)| &token.value[at..]));
        }
        shown
    }
}

/// Reads the parameters of a link under the rules of its project and the key that seals links.
pub(super) fn read(
    link: &BTreeMap<String, String>,
    rules: &Rules,
    key: &str,
) -> Result<Said, Refusal> {
    let mut reading = Reading::default();
    for (name, value) in link {
        match (known(name), rules.encryption_only) {
            (Some((name, Place::Plain)), _) | (Some((name, Place::Either)), false) => {
                reading.values.insert(name, (Value::from(value.as_str()), false));
            }
            (Some((_, Place::Sealed)), false) => return Err(Refusal::ParameterInTheOpen),
            (Some((name, Place::Either | Place::Sealed)), true) => reading.in_vain.push(name),
            (None, _) if name == ENCRYPTED => {}
            (None, _) => reading.in_vain.push(OTHER),
        }
    }
    if let Some(text) = link.get(ENCRYPTED) {
        if INJECTION.iter().any(|name| link.contains_key(*name)) {
            reading.in_vain.push(ENCRYPTED);
        } else {
            let inside = rules.link_cipher.open(text, key);
            let inside = inside.and_then(|plain| serde_json::from_slice(&plain).ok());
            reading.unseals(inside.ok_or(Refusal::ParametersUnreadable)?)?;
        }
    }
    reading.agrees(rules.pipeline)?;
    reading.is_possible()?;
    reading.drop_idle_switches();
    let text = |(value, sealed)| Parameter { value: text_of(value), sealed };
    let in_force = reading.values.into_iter().map(|(name, value)| (name, text(value))).collect();
    Ok(Said { in_force, in_vain: reading.in_vain })
}

/// A link that is being read: what it says so far, as JSON says it, and whether that was sealed.
#[derive(Default)]
struct Reading {
    values: BTreeMap<&'static str, (Value, bool)>,
    in_vain: Vec<&'static str>,
}

impl Reading {
    fn unseals(&mut self, inside: Map<String, Value>) -> Result<(), Refusal> {
        for (name, value) in inside {
            match known(&name) {
                Some((_, Place::Plain)) => return Err(Refusal::ParameterSealed),
                Some((name, Place::Either | Place::Sealed)) => {
                    // Which of the two would win is not documented.
                    if self.values.insert(name, (value, true)).is_some() {
                        return Err(Refusal::ParameterTwice);
                    }
                }
                None => self.in_vain.push(OTHER),
            }
        }
        Ok(())
    }

    /// Whether the parameters go together, and with the kind of project.
    fn agrees(&self, pipeline: Pipeline) -> Result<(), Refusal> {
        let foreign = match pipeline {
            Pipeline::IdDocument => &ONLY_KNOWLEDGE[..],
            Pipeline::Knowledge => &ONLY_ID_DOCUMENT[..],
        };
        if foreign.iter().any(|name| self.has(name)) {
            return Err(Refusal::ParameterOfOtherPipeline);
        }
        let (country, id_type) = (self.has("selectedIssuingCountry"), self.has("selectedIdType"));
        if id_type && !country || self.has("auxidField") && (country || id_type) {
            return Err(Refusal::ParametersConflict);
        }
        Ok(())
    }

    /// Whether every value is one that its parameter can have.
    fn is_possible(&self) -> Result<(), Refusal> {
        let fits = |name: &str, fits: fn(&str) -> bool| {
            self.values.get(name).is_none_or(|(value, _)| value.as_str().is_some_and(fits))
        };
        let possible = fits("allowedCountries", |list| list.split(',').all(is_country))
            && fits("selectedIssuingCountry", is_country)
            && fits("auxidField", |field| field == "phoneNumber")
            && fits(START_VALID_UNTIL, |time| time.ends_with('Z') && from_iso(time).is_some());
        if possible { Ok(()) } else { Err(Refusal::ParameterValue) }
    }

    /// Takes out of force what switches nothing.
    fn drop_idle_switches(&mut self) {
        for name in POLICIES.into_iter().chain([REJECT_DUPLICATE_USER]) {
            let Some((value, sealed)) = self.values.get(name) else { continue };
            // What is sealed is JSON, whose booleans are no texts.
            let switch = if *sealed { value.as_bool() } else { text_bool(value) };
            let works = switch == Some(false) || switch.is_some() && name == REJECT_DUPLICATE_USER;
            if !works {
                self.values.remove(name);
                self.in_vain.push(name);
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }
}

fn known(name: &str) -> Option<(&'static str, Place)> {
    KNOWN.into_iter().find(|(known, _)| *known == name)
}

/// The shape of an ISO alpha-3 code; which of them exist is not looked up.
fn is_country(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|letter| letter.is_ascii_uppercase())
}

fn text_bool(value: &Value) -> Option<bool> {
    value.as_str()?.parse().ok()
}

/// Native booleans and numbers as text.
fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_)) => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
