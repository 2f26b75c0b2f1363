use serde_json::json;

use super::*;
use crate::sim::{
    rules::RuleChange,
    sealed::{Cipher, Encoding, Gcm, Layout, NonceBytes},
};

const KEY: &str = "test-api-key-0001";

fn rules(change: Value) -> Rules {
    let mut rules = Rules::new(1);
    rules.change(serde_json::from_value::<RuleChange>(change).unwrap());
    rules
}

fn plain(parameters: &[(&str, &str)]) -> BTreeMap<String, String> {
    parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The same with something sealed beside it.
fn sealed(parameters: &[(&str, &str)], inside: &Value) -> BTreeMap<String, String> {
    let text = Cipher::Ecb.seal(inside.to_string().as_bytes(), KEY);
    let mut link = plain(parameters);
    link.insert("encrypted".into(), text);
    link
}

/// What a link says that has all of this sealed in it.
fn says(inside: &Value) -> Result<Said, Refusal> {
    read(&sealed(&[], inside), &rules(json!({})), KEY)
}

fn in_vain(said: &Said) -> Vec<&str> {
    let mut names = said.in_vain.clone();
    names.sort_unstable();
    names
}

#[test]
fn what_must_be_sealed_opens_the_error_page_when_it_is_plain() {
    let must = [
        "allowedCountries",
        "allowedIdTypes",
        "selectedIssuingCountry",
        "selectedIdType",
        "auxidField",
        "projectionId",
        "projectionName",
        "knowledgeField",
        "knowledgePrefill",
        "startValidUntil",
        "allowedDocumentFields",
        "mainColor",
        "innerColor",
    ];
    for name in must {
        let read = read(&plain(&[(name, "KOR")]), &rules(json!({})), KEY);
        assert_eq!(read, Err(Refusal::ParameterInTheOpen), "{name}");
    }
    let may = KNOWN.iter().filter(|(name, _)| !must.contains(name));
    for (name, _) in may {
        assert!(read(&plain(&[(name, "false")]), &rules(json!({})), KEY).is_ok(), "{name}");
    }
}

#[test]
fn what_is_sealed_and_what_is_plain_is_told_apart() {
    let link = sealed(&[("userid", "u1"), ("lang", "ko")], &json!({"allowedCountries": "USA,KOR"}));
    let said = read(&link, &rules(json!({})), KEY).unwrap();
    let sealed: Vec<_> = said.in_force.iter().map(|(name, each)| (*name, each.sealed)).collect();
    assert_eq!(sealed, [("allowedCountries", true), ("lang", false), ("userid", false)]);
    assert_eq!(said.get("allowedCountries"), Some("USA,KOR"));
    assert!(said.in_vain.is_empty());
}

#[test]
fn pid_and_lang_cannot_be_sealed() {
    for name in ["pid", "lang"] {
        assert_eq!(says(&json!({ name: "x" })), Err(Refusal::ParameterSealed), "{name}");
    }
}

#[test]
fn nothing_is_said_twice() {
    let link = sealed(&[("userid", "u1")], &json!({"userid": "u1"}));
    assert_eq!(read(&link, &rules(json!({})), KEY), Err(Refusal::ParameterTwice));
    let only_sealed = rules(json!({"encryption_only": true}));
    assert!(read(&link, &only_sealed, KEY).is_ok(), "what is plain is not looked at");
}

#[test]
fn parameters_that_exclude_each_other_are_refused() {
    for inside in [
        json!({"selectedIdType": "passport"}),
        json!({"auxidField": "phoneNumber", "selectedIssuingCountry": "KOR"}),
        json!({"auxidField": "phoneNumber", "selectedIssuingCountry": "KOR",
            "selectedIdType": "passport"}),
    ] {
        assert_eq!(says(&inside), Err(Refusal::ParametersConflict), "{inside}");
    }
    for inside in [
        json!({"selectedIssuingCountry": "KOR", "selectedIdType": "passport"}),
        json!({"selectedIssuingCountry": "KOR"}),
        json!({"auxidField": "phoneNumber"}),
    ] {
        assert!(says(&inside).is_ok(), "{inside}");
    }
}

#[test]
fn each_pipeline_refuses_the_parameters_of_the_other() {
    let cases = [
        ("auxidField", "phoneNumber", "id_document"),
        ("approvePeriod", "false", "id_document"),
        ("rejectPeriod", "false", "id_document"),
        ("knowledgeField", "skip", "knowledge"),
        ("knowledgePrefill", "x", "knowledge"),
    ];
    for (name, value, home) in cases {
        let link = sealed(&[], &json!({ name: value }));
        for pipeline in ["id_document", "knowledge"] {
            let read = read(&link, &rules(json!({ "pipeline": pipeline })), KEY);
            let expected = (pipeline != home).then_some(Refusal::ParameterOfOtherPipeline);
            assert_eq!(read.err(), expected, "{name} {pipeline}");
        }
    }
}

#[test]
fn an_impossible_value_is_refused() {
    for inside in [
        json!({"allowedCountries": "USA,kor"}),
        json!({"allowedCountries": "USA, KOR"}),
        json!({"allowedCountries": "KR"}),
        json!({"allowedCountries": ""}),
        json!({"allowedCountries": ["USA"]}),
        json!({"selectedIssuingCountry": "USA,KOR"}),
        json!({"auxidField": "e-mail"}),
        json!({"startValidUntil": "tomorrow"}),
        json!({"startValidUntil": "2026-04-30T15:00:00+09:00"}),
        json!({"startValidUntil": 1_777_561_200}),
    ] {
        assert_eq!(says(&inside), Err(Refusal::ParameterValue), "{inside}");
    }
    let inside = json!({"allowedCountries": "KOR", "startValidUntil": "2026-04-30T15:00:00Z"});
    assert!(says(&inside).is_ok());
}

#[test]
fn a_switch_that_switches_nothing_is_out_of_force_and_counted() {
    let link = plain(&[
        ("blacklistCountries", "false"),
        ("approvePeriod", "30"),
        ("rejectPeriod", "true"),
        ("ageLimit", "False"),
        ("rejectDuplicateUser", "true"),
    ]);
    let said = read(&link, &rules(json!({})), KEY).unwrap();
    let names: Vec<_> = said.in_force.keys().copied().collect();
    assert_eq!(names, ["blacklistCountries", "rejectDuplicateUser"]);
    assert_eq!(in_vain(&said), ["ageLimit", "approvePeriod", "rejectPeriod"]);
}

#[test]
fn a_switch_that_is_sealed_as_a_text_switches_nothing() {
    let inside = json!({"ageLimit": false, "approvePeriod": "false", "rejectPeriod": true,
        "rejectDuplicateUser": "true"});
    let said = says(&inside).unwrap();
    assert_eq!(said.in_force.keys().collect::<Vec<_>>(), [&"ageLimit"]);
    assert_eq!(said.get("ageLimit"), Some("false"));
    assert_eq!(in_vain(&said), ["approvePeriod", "rejectDuplicateUser", "rejectPeriod"]);
    let said = says(&json!({"rejectDuplicateUser": true})).unwrap();
    assert_eq!(said.get("rejectDuplicateUser"), Some("true"));
}

#[test]
fn a_plain_injection_takes_what_is_sealed_out_of_force() {
    for name in ["sid", "action"] {
        let link = sealed(&[(name, "x"), ("userid", "u1")], &json!({"token": "kyc-0000001a"}));
        let said = read(&link, &rules(json!({})), KEY).unwrap();
        assert_eq!((said.get("token"), said.get("userid")), (None, Some("u1")));
        assert_eq!(in_vain(&said), ["encrypted"]);
    }
    let inside = json!({"sid": "sub-1", "action": "addveri", "token": "kyc-0000001a"});
    assert_eq!(says(&inside).unwrap().get("token"), Some("kyc-0000001a"));
}

#[test]
fn an_encryption_only_project_ignores_whatever_else_is_plain() {
    let link = sealed(
        &[("pid", "p"), ("lang", "ko"), ("userid", "u1"), ("mainColor", "red"), ("utm", "x")],
        &json!({"token": "kyc-0000001a"}),
    );
    let only_sealed = rules(json!({"encryption_only": true}));
    let said = read(&link, &only_sealed, KEY).unwrap();
    let names: Vec<_> = said.in_force.keys().copied().collect();
    assert_eq!(names, ["lang", "pid", "token"]);
    assert_eq!(in_vain(&said), ["mainColor", "other", "userid"]);
    let plain = plain(&[("token", "kyc-0000001a")]);
    assert_eq!(read(&plain, &rules(json!({})), KEY).unwrap().get("token"), Some("kyc-0000001a"));
    assert_eq!(read(&plain, &only_sealed, KEY).unwrap().get("token"), None);
}

#[test]
fn what_argos_does_not_know_says_nothing() {
    let link = sealed(&[("utm", "x")], &json!({"Token": "kyc-0000001a"}));
    let said = read(&link, &rules(json!({})), KEY).unwrap();
    assert!(said.in_force.is_empty());
    assert_eq!(in_vain(&said), ["other", "other"]);
}

#[test]
fn a_link_opens_with_the_cipher_and_the_key_of_its_project_alone() {
    let gcm = Gcm {
        layout: Layout::NonceTagCiphertext,
        nonce_bytes: NonceBytes::Sixteen,
        encoding: Encoding::Hex,
    };
    for (cipher, other) in [(Cipher::Ecb, Cipher::Gcm(gcm)), (Cipher::Gcm(gcm), Cipher::Ecb)] {
        let link = BTreeMap::from([("encrypted".into(), cipher.seal(b"{\"userid\":\"u1\"}", KEY))]);
        let as_it_is = rules(json!({ "link_cipher": cipher }));
        assert_eq!(read(&link, &as_it_is, KEY).unwrap().get("userid"), Some("u1"));
        assert_eq!(read(&link, &as_it_is, "another"), Err(Refusal::ParametersUnreadable));
        let otherwise = rules(json!({ "link_cipher": other }));
        assert_eq!(read(&link, &otherwise, KEY), Err(Refusal::ParametersUnreadable));
    }
    assert_eq!(says(&json!(["token"])), Err(Refusal::ParametersUnreadable), "no object");
    let empty = plain(&[("encrypted", "")]);
    assert_eq!(read(&empty, &rules(json!({})), KEY), Err(Refusal::ParametersUnreadable));
}
