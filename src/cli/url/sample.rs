//! `url --self-test`: whether what ARGOS's dashboard seals is what the configuration seals.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{key_to_json, told};
use crate::{
    app::preview::{Key, Preview, Sample},
    cli::{
        Failure,
        screen::{Screen, without_controls},
    },
};

pub(super) fn test(
    preview: &Preview,
    text: &str,
    plaintext: Option<&str>,
    screen: &Screen,
) -> Result<(), Failure> {
    let Some(sample) = preview.identify(text) else {
        screen.answer(|| json!({ "opens": false }), String::new)?;
        return Err(unopened(text));
    };
    let matches = plaintext.map(|plaintext| same(&sample.content, plaintext));
    screen.answer(
        || to_json(&sample, matches),
        || without_controls(&report(preview, &sample, matches)),
    )?;
    if matches == Some(false) {
        return Err(Failure::failed("the sample opens, and something else is inside")
            .hint("is it the sample that was made of this plaintext, and was it copied whole?"));
    }
    if sample.agrees {
        return Ok(());
    }
    let failure = Failure::failed("the configuration does not seal as this sample was sealed");
    Err(match sample.key {
        Key::Previous(_) => failure.hint(format!(
            "ARGOS sealed it with {}: make that the key of the project, or take a sample of today",
            sample.key
        )),
        Key::Api if preview.key_in_use() == Key::Secret => failure.hint(
            "ARGOS sealed it with the API key: was the secret key of the project withdrawn, or does \
             the dashboard's tool want to be given it?",
        ),
        Key::Api | Key::Secret => {
            failure.hint("write the lines above into the configuration and test again")
        }
    })
}

/// Compared as JSON where both are, because the dashboard may write it in another way.
pub(super) fn same(content: &str, plaintext: &str) -> bool {
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    match (json(content), json(plaintext)) {
        (Some(content), Some(plaintext)) => content == plaintext,
        (Some(_), None) | (None, Some(_)) | (None, None) => content == plaintext,
    }
}

fn report(preview: &Preview, sample: &Sample, matches: Option<bool>) -> String {
    let mut text = String::new();
    let cipher: Vec<_> =
        sample.cipher.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    let _ = writeln!(text, "sealed with  {}", cipher.join(", "));
    let _ = writeln!(text, "key          {}", told(preview, sample.key));
    let _ = writeln!(text, "inside       {}", sample.content);
    match matches {
        Some(true) => text.push_str("plaintext    as given\n"),
        Some(false) => text.push_str("plaintext    another one\n"),
        None => (),
    }
    if sample.agrees {
        text.push_str("the configuration agrees\n");
    }
    if !sample.to_write.is_empty() {
        let _ = writeln!(text, "\nto be written:\n[{}]", sample.table);
        for (key, value) in &sample.to_write {
            let _ = writeln!(text, "{key} = {value}");
        }
    }
    text
}

fn to_json(sample: &Sample, matches: Option<bool>) -> Value {
    let settings = |settings: &[(&str, String)]| -> Value {
        settings
            .iter()
            .map(|(key, value)| (format!("{}.{key}", sample.table), value.trim_matches('"')))
            .collect()
    };
    json!({
        "opens": true,
        "key": key_to_json(sample.key),
        "content": sample.content,
        "cipher": settings(&sample.cipher),
        "to_write": settings(&sample.to_write),
        "agrees": sample.agrees,
        "matches": matches,
    })
}

fn unopened(text: &str) -> Failure {
    let failure = Failure::failed("no key of the configuration opens the sample with any cipher");
    let text = text.trim();
    let symbol = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=%&?:.-_".contains(&byte);
    let failure = if text.bytes().all(symbol) {
        failure
    } else {
        failure.hint("it is neither base64 nor hex: was something else copied?")
    };
    failure
        .hint("was it copied whole, to the last letter?")
        .hint("is api_key the key of this very project, and was the sample made with it?")
        .hint(
            "has the dashboard issued a secret key? its file belongs into liveform.secret_key_file",
        )
}
