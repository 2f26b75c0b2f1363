//! What a JSON body says, read without a line of the code that is tried.

use serde_json::{Map, Value};

/// Whether this text stands anywhere in it as a value.
pub fn says(value: &Value, text: &str) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::Number(number) => number.to_string() == text,
        Value::String(said) => said == text,
        Value::Array(items) => items.iter().any(|item| says(item, text)),
        Value::Object(fields) => fields.values().any(|field| says(field, text)),
    }
}

/// The object that these bytes are, and none other.
pub fn object(body: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(body).ok()
}

/// A field that says something: neither null nor an empty text.
pub fn told<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null() && *value != "")
}

/// Replaces `@0` to `@9` by the names of something, so that inputs need not know how ids are sealed.
pub fn with_names(text: &[u8], mark: u8, name: impl Fn(u8) -> Option<String>) -> Vec<u8> {
    let mut told = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        let number = behind.first().filter(|_| *first == mark).copied();
        match number.filter(u8::is_ascii_digit).and_then(|digit| name(digit - b'0')) {
            Some(name) => {
                told.extend(name.into_bytes());
                rest = &behind[1..];
            }
            None => told.push(*first),
        }
    }
    told
}
