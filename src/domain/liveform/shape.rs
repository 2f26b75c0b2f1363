//! The shapes of single values. A refusal says what was expected and never repeats the value, which
//! may be personal.

use crate::domain::{ids::SubmissionId, limits::PARAM_BYTES_MAX};

/// Letters of a name in a message.
const SHOWN_MAX: usize = 64;

pub(super) fn text(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.len() > PARAM_BYTES_MAX {
        return Err(format!("must have at most {PARAM_BYTES_MAX} bytes, and has {}", text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters".to_owned());
    }
    Ok(())
}

pub(super) fn email(value: &str) -> Result<(), String> {
    text(value)?;
    let parts = value.rsplit_once('@');
    let whole = parts.is_some_and(|(local, host)| !local.is_empty() && !host.is_empty());
    demand(whole && !value.contains(char::is_whitespace), "must be an e-mail address")
}

pub(super) fn language(value: &str) -> Result<(), String> {
    let mut parts = value.split(['-', '_']);
    let first = parts.next().is_some_and(|part| {
        (2..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphabetic())
    });
    let rest = parts.all(|part| {
        (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    demand(first && rest, "must be a language code such as \"ko\" or \"pt-BR\"")
}

/// A name as ARGOS gives them to fields.
pub(super) fn word(value: &str) -> Result<(), String> {
    let first = value.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let rest = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let rule = "must be at most 64 letters, digits and underscores, a letter first";
    demand(first && rest && value.len() <= SHOWN_MAX, rule)
}

pub(super) fn submission(value: &str) -> Result<(), String> {
    demand(SubmissionId::parse(value).is_ok(), "must be a submission id as ARGOS gives it")
}

/// The one thing that is done with a submission through a link.
pub(super) fn action(value: &str) -> Result<(), String> {
    demand(value == "addveri", "must be \"addveri\"")
}

/// The one that ARGOS has.
pub(super) fn verification(value: &str) -> Result<(), String> {
    demand(value == "phoneNumber", "must be \"phoneNumber\"")
}

/// A name in the path of a field, which must not be anything but a name.
pub(super) fn shown(name: &str) -> &str {
    if word(name).is_ok() { name } else { "…" }
}

fn demand(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule.to_owned()) }
}
