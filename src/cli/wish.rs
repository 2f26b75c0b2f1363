//! What a link is to say, as people and programs write it on a command line.
//!
//! Parameters come as single flags, or as a JSON object in the names of the proto or in those of ARGOS;
//! a single flag wins over the object. Here only types are told apart: whether a value is one that
//! ARGOS takes is for the rules of the project to say.

use std::{collections::BTreeMap, fs, io};

use clap::Args;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Failure, proto::LiveformParams};
use crate::{app::preview::Violation, config::closest};

/// The fields of [`LiveformParams`].
const FIELDS: [&str; 28] = [
    "email",
    "userid",
    "cf1",
    "cf2",
    "cf3",
    "lang",
    "blacklist_countries",
    "approve_period",
    "reject_period",
    "age_limit",
    "reject_duplicate_user",
    "action",
    "sid",
    "allowed_countries",
    "allowed_id_types",
    "selected_issuing_country",
    "selected_id_type",
    "auxid_field",
    "projection_id",
    "projection_name",
    "knowledge_field",
    "knowledge_prefill",
    "allowed_document_fields",
    "main_color",
    "inner_color",
    "start_valid_until",
    "start_valid_until_deadline",
    "unchecked",
];

#[derive(Args, Default)]
pub(super) struct WishArgs {
    /// E-mail address, filled in for the person
    #[arg(long)]
    email: Option<String>,
    /// Your own id of the person; ARGOS returns it with the result
    #[arg(long)]
    userid: Option<String>,
    /// Free field that ARGOS returns with the result
    #[arg(long)]
    cf1: Option<String>,
    /// As cf1
    #[arg(long)]
    cf2: Option<String>,
    /// As cf1
    #[arg(long)]
    cf3: Option<String>,
    /// Language of the Liveform, such as ko or en
    #[arg(long)]
    lang: Option<String>,
    /// Template of the project, for what is not said otherwise
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(super) template: String,
    /// Any parameters as a JSON object, such as '{"allowed_countries": ["KOR"]}': the object itself,
    /// @FILE, or - for stdin; a single flag wins over it
    #[arg(long, value_name = "JSON")]
    params: Option<String>,
}

impl WishArgs {
    /// Whether stdin says the parameters.
    pub(super) fn is_on_stdin(&self) -> bool {
        self.params.as_deref() == Some("-")
    }

    /// The one wish that the arguments hold; stdin, where they name it, is read to its end.
    pub(super) fn read(&self) -> Result<LiveformParams, Failure> {
        let text = match self.params.as_deref() {
            None => "{}".to_owned(),
            Some("-") => io::read_to_string(io::stdin())
                .map_err(|error| Failure::failed(format!("cannot read stdin: {error}")))?,
            Some(text) => match text.strip_prefix('@') {
                Some(path) => fs::read_to_string(path)
                    .map_err(|error| Failure::failed(format!("cannot read {path}: {error}")))?,
                None => text.to_owned(),
            },
        };
        self.over(&text)
            .map_err(|violations| blaming(Failure::usage("invalid parameters"), violations))
    }

    /// The wish of a JSON object, with the single flags over it.
    pub(super) fn over(&self, text: &str) -> Result<LiveformParams, Vec<Violation>> {
        let mut params = parse(text)?;
        for (flag, field) in [
            (&self.email, &mut params.email),
            (&self.userid, &mut params.userid),
            (&self.cf1, &mut params.cf1),
            (&self.cf2, &mut params.cf2),
            (&self.cf3, &mut params.cf3),
            (&self.lang, &mut params.lang),
        ] {
            if let Some(text) = flag {
                field.clone_from(text);
            }
        }
        Ok(params)
    }
}

/// The failure with every field at fault, as a refusal of the daemon shows them.
pub(super) fn blaming(failure: Failure, violations: Vec<Violation>) -> Failure {
    violations.into_iter().fold(failure, |failure, Violation { field, rule }| {
        failure.fact("field", format!("{field}: {rule}"))
    })
}

fn parse(text: &str) -> Result<LiveformParams, Vec<Violation>> {
    let whole = |rule: String| vec![Violation { field: "params".to_owned(), rule }];
    let value = serde_json::from_str(text)
        .map_err(|error| whole(format!("must be a JSON object: {error}")))?;
    let Value::Object(members) = value else {
        return Err(whole("must be a JSON object".to_owned()));
    };
    let (mut params, mut violations) = (LiveformParams::default(), Vec::new());
    let mut said = BTreeMap::new();
    for (name, value) in members {
        let field = snake_case(&name);
        let problem = if let Some(before) = said.insert(field.clone(), name.clone()) {
            Some(format!("says the same as {before}: leave one of the two out"))
        } else {
            set(&mut params, &field, value).err()
        };
        violations.extend(problem.map(|rule| Violation { field: format!("params.{name}"), rule }));
    }
    if violations.is_empty() { Ok(params) } else { Err(violations) }
}

/// Sets the field to what was said; null says nothing.
fn set(params: &mut LiveformParams, field: &str, value: Value) -> Result<(), String> {
    if value.is_null() && FIELDS.contains(&field) {
        return Ok(());
    }
    match field {
        "email" => params.email = text(value)?,
        "userid" => params.userid = text(value)?,
        "cf1" => params.cf1 = text(value)?,
        "cf2" => params.cf2 = text(value)?,
        "cf3" => params.cf3 = text(value)?,
        "lang" => params.lang = text(value)?,
        "blacklist_countries" => params.blacklist_countries = Some(flag(&value)?),
        "approve_period" => params.approve_period = Some(flag(&value)?),
        "reject_period" => params.reject_period = Some(flag(&value)?),
        "age_limit" => params.age_limit = Some(flag(&value)?),
        "reject_duplicate_user" => params.reject_duplicate_user = Some(flag(&value)?),
        "action" => params.action = text(value)?,
        "sid" => params.sid = text(value)?,
        "allowed_countries" => params.allowed_countries = list(value)?,
        "allowed_id_types" => params.allowed_id_types = list(value)?,
        "selected_issuing_country" => params.selected_issuing_country = text(value)?,
        "selected_id_type" => params.selected_id_type = text(value)?,
        "auxid_field" => params.auxid_field = text(value)?,
        "projection_id" => params.projection_id = text(value)?,
        "projection_name" => params.projection_name = text(value)?,
        "knowledge_field" => params.knowledge_field = text(value)?,
        "knowledge_prefill" => params.knowledge_prefill = texts(value, false)?,
        "allowed_document_fields" => params.allowed_document_fields = list(value)?,
        "main_color" => params.main_color = text(value)?,
        "inner_color" => params.inner_color = text(value)?,
        "start_valid_until" => params.start_valid_until = Some(time(&value)?),
        "start_valid_until_deadline" => params.start_valid_until_deadline = flag(&value)?,
        "unchecked" => params.unchecked = texts(value, true)?,
        _ => {
            let known = FIELDS.map(str::to_owned);
            let why = match closest(field, &known, field.len()) {
                Some(meant) => format!("unknown; did you mean {meant}?"),
                None => "unknown;".to_owned(),
            };
            return Err(format!("{why} what this version does not know goes into unchecked"));
        }
    }
    Ok(())
}

fn text(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err("must be text".to_owned())
        }
    }
}

fn flag(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "must be true or false".to_owned())
}

/// `["USA", "KOR"]` or `"USA,KOR"`, as ARGOS has it.
fn list(value: Value) -> Result<Vec<String>, String> {
    let rule = || "must be a list of text, or text with commas".to_owned();
    match value {
        Value::String(text) if text.is_empty() => Ok(Vec::new()),
        Value::String(text) => Ok(text.split(',').map(|item| item.trim().to_owned()).collect()),
        Value::Array(items) => {
            items.into_iter().map(text).collect::<Result<_, _>>().map_err(|_| rule())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Err(rule()),
    }
}

/// Names and what is said by them, which may be `true` and `false` where `flags` are.
fn texts(value: Value, flags: bool) -> Result<BTreeMap<String, String>, String> {
    let rule = || {
        let flags = if flags { ", true or false" } else { "" };
        format!("must be an object of names with text{flags}")
    };
    let Value::Object(members) = value else { return Err(rule()) };
    let member = |(name, value): (String, Value)| match value {
        Value::String(text) => Some((name, text)),
        Value::Bool(flag) if flags => Some((name, flag.to_string())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    };
    Map::into_iter(members).map(member).collect::<Option<_>>().ok_or_else(rule)
}

fn time(value: &Value) -> Result<prost_types::Timestamp, String> {
    let time: Option<Timestamp> = value.as_str().and_then(|text| text.parse().ok());
    let time = time.ok_or("must be a time of RFC 3339 such as \"2030-01-31T15:00:00Z\"")?;
    Ok(prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() })
}

/// ARGOS's `allowedCountries` is our `allowed_countries`.
fn snake_case(name: &str) -> String {
    let mut field = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            field.push('_');
        }
        field.push(letter.to_ascii_lowercase());
    }
    field
}

#[cfg(test)]
mod tests;
