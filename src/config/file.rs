//! One TOML file, each key and table with the line it stands on.

use std::path::Path;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    error::{Origin, Problem},
    kind::Raw,
    merge::Written,
};

/// Lays the text of a file over what was written so far. Every error of syntax is reported, and a
/// file that has one is not looked into: what would be said about the rest is guesswork.
pub(super) fn read(path: &Path, text: &str, written: &mut Written) {
    let (document, faults) = DeTable::parse_recoverable(text);
    let file = File { path, text };
    if faults.is_empty() {
        return file.walk(document.get_ref(), "", written);
    }
    for fault in faults {
        // The message alone: the error's own Display quotes the line, which may hold a secret.
        let problem = Problem::Syntax(fault.message().to_owned());
        written.refuse("", file.line_at(fault.span().map_or(0, |span| span.start)), problem);
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn walk(&self, table: &DeTable<'_>, above: &str, written: &mut Written) {
        for (key, value) in table {
            let origin = self.line_at(key.span().start);
            let name = key.get_ref();
            // A dot inside of a quoted key would make another path of it.
            if name.contains('.') || name.is_empty() {
                written.refuse(
                    &format!("{above}{name:?}"),
                    origin,
                    Problem::Unknown { meant: None },
                );
                continue;
            }
            let path = format!("{above}{name}");
            let DeValue::Table(inner) = value.get_ref() else {
                written.set(&path, &raw(value.get_ref()), origin);
                continue;
            };
            if written.open(&path, origin) {
                self.walk(inner, &format!("{path}."), written);
            }
        }
    }

    fn line_at(&self, offset: usize) -> Origin {
        let before = self.text.as_bytes().iter().take(offset);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        Origin::File { path: self.path.to_owned(), line }
    }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) => Raw::Whole(number),
            Err(_) => Raw::Other("a number beyond 64 bits"),
        },
        DeValue::Float(digits) => match digits.as_str().parse() {
            Ok(number) => Raw::Number(number),
            Err(_) => Raw::Other("a number that cannot be read"),
        },
        DeValue::Boolean(flag) => Raw::Flag(*flag),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Array(items) => {
            let text = |item: &Spanned<DeValue<'_>>| item.get_ref().as_str().map(str::to_owned);
            match items.iter().map(text).collect() {
                Some(texts) => Raw::List(texts),
                None => Raw::Other("a list that holds something else than text"),
            }
        }
        DeValue::Table(_) => Raw::Other("a table"),
    }
}
