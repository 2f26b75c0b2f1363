use std::collections::BTreeSet;

use prost::Message as _;
use serde_json::json;

use super::*;
use crate::{api::proto::DESCRIPTORS, cli::Exit};

fn wish(value: &Value) -> Result<LiveformParams, Vec<(String, String)>> {
    let told = |violations: Vec<Violation>| {
        violations.into_iter().map(|violation| (violation.field, violation.rule)).collect()
    };
    WishArgs::default().over(&value.to_string()).map_err(told)
}

fn rule(value: &Value) -> String {
    let violations = wish(value).unwrap_err();
    assert_eq!(violations.len(), 1, "{violations:?}");
    format!("{}: {}", violations[0].0, violations[0].1)
}

/// A value of the type that the field wants.
fn sample(field: &str) -> Value {
    match field {
        "allowed_countries" | "allowed_id_types" | "allowed_document_fields" => json!(["a", "b"]),
        "knowledge_prefill" | "unchecked" => json!({ "name": "text" }),
        "start_valid_until" => json!("2030-01-31T15:00:00Z"),
        field if flag_fields().contains(field) => json!(true),
        _ => json!("text"),
    }
}

fn flag_fields() -> BTreeSet<&'static str> {
    let flags = ["blacklist_countries", "approve_period", "reject_period", "age_limit"];
    flags.into_iter().chain(["reject_duplicate_user", "start_valid_until_deadline"]).collect()
}

#[test]
fn every_field_of_the_proto_can_be_said_in_both_spellings() {
    let files = prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap().file;
    let messages = files.iter().flat_map(|file| &file.message_type);
    let message = messages.into_iter().find(|message| message.name() == "LiveformParams").unwrap();
    let fields: Vec<_> = message.field.iter().map(|field| field.name()).collect();
    assert_eq!(fields, FIELDS);
    for field in &message.field {
        let snake = wish(&json!({ field.name(): sample(field.name()) })).unwrap();
        let camel = wish(&json!({ field.json_name(): sample(field.name()) })).unwrap();
        assert!(snake == camel && snake != LiveformParams::default(), "{}", field.name());
        // The field, and no other one.
        let written = snake.encode_to_vec();
        let number = u64::try_from(field.number()).unwrap();
        assert_eq!(prost::encoding::decode_varint(&mut &written[..]).unwrap() >> 3, number);
        assert_eq!(wish(&json!({ field.name(): null })).unwrap(), LiveformParams::default());
    }
}

#[test]
fn a_list_is_a_list_or_text_with_commas() {
    for said in [json!(["USA", "KOR"]), json!("USA,KOR"), json!("USA, KOR")] {
        let params = wish(&json!({ "allowedCountries": said })).unwrap();
        assert_eq!(params.allowed_countries, ["USA", "KOR"]);
    }
    let nothing = wish(&json!({ "allowed_countries": "" })).unwrap();
    assert!(nothing.allowed_countries.is_empty());
}

#[test]
fn a_time_is_told_with_its_zone() {
    let at = |text: &str| wish(&json!({ "start_valid_until": text })).unwrap().start_valid_until;
    let seconds = 1_896_102_000;
    let expected = Some(prost_types::Timestamp { seconds, nanos: 500_000_000 });
    assert_eq!(at("2030-01-31T15:00:00.5Z"), expected);
    assert_eq!(at("2030-02-01T00:00:00.5+09:00"), expected);
    let told = rule(&json!({ "start_valid_until": "2030-01-31T15:00:00" }));
    assert!(told.starts_with("params.start_valid_until: must be a time"), "{told}");
}

#[test]
fn what_is_passed_on_unchecked_may_be_true_or_false() {
    let params = wish(&json!({ "unchecked": { "newOption": true, "other": "text" } })).unwrap();
    assert_eq!(params.unchecked["newOption"], "true");
    let told = rule(&json!({ "knowledge_prefill": { "name": true } }));
    assert_eq!(told, "params.knowledge_prefill: must be an object of names with text");
}

#[test]
fn an_unknown_name_is_refused_with_what_was_probably_meant() {
    assert_eq!(
        rule(&json!({ "allowed_country": "KOR" })),
        "params.allowed_country: unknown; did you mean allowed_countries? what this version does not \
         know goes into unchecked"
    );
    assert_eq!(
        rule(&json!({ "brandNew": true })),
        "params.brandNew: unknown; what this version does not know goes into unchecked"
    );
}

#[test]
fn every_member_at_fault_is_named_and_no_value_is_repeated() {
    let said = json!({ "email": 7, "age_limit": "hunter2", "ageLimit": false, "cf1": ["hunter2"] });
    let violations = wish(&said).unwrap_err();
    let fields: Vec<_> = violations.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["params.age_limit", "params.cf1", "params.email"]);
    assert!(!format!("{violations:?}").contains("hunter2"));
    for text in ["", "[]", "\"hunter2\"", "{\"email\": hunter2}"] {
        let violations = WishArgs::default().over(text).unwrap_err();
        assert_eq!(violations[0].field, "params");
        assert!(violations[0].rule.starts_with("must be a JSON object"));
        assert!(!violations[0].rule.contains("hunter2"), "{}", violations[0].rule);
    }
}

#[test]
fn a_single_flag_wins_over_the_object() {
    let args = WishArgs {
        email: Some("flag@example.com".to_owned()),
        params: Some(r#"{"email": "object@example.com", "cf1": "kept"}"#.to_owned()),
        ..WishArgs::default()
    };
    let params = args.read().unwrap();
    assert_eq!((params.email.as_str(), params.cf1.as_str()), ("flag@example.com", "kept"));
}

#[test]
fn an_object_may_stand_in_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "{\n  \"cf1\": \"from a file\"\n}\n").unwrap();
    let named = |path: String| WishArgs { params: Some(path), ..WishArgs::default() };
    let path = format!("@{}", file.path().display());
    assert_eq!(named(path.clone()).read().unwrap().cf1, "from a file");
    assert_eq!(named(path + ".gone").read().unwrap_err().exit(), Exit::Failed);
    assert_eq!(named("{".to_owned()).read().unwrap_err().exit(), Exit::Usage);
}
