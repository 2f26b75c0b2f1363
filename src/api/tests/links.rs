//! What a caller's words become in its link.

use std::{collections::BTreeMap, sync::Arc};

use super::*;
use crate::{
    api::{
        Links,
        proto::{BatchCreateLeasesRequest, LiveformParams, ReplaceLeaseRequest},
        stand::{Stand, links},
    },
    domain::{
        envelope::{Cipher, Keyring},
        liveform::{Asked, Form, Mode, Parameter, Pipeline, Rules},
    },
};

fn keyring() -> Keyring {
    Keyring::new(Cipher::Ecb, &Secret::new("test-api-key-0001".to_owned()), [])
}

fn form(mode: Mode) -> Form {
    Form::new("https://form.example.com", "pid_default", mode, keyring())
}

fn linked(mode: Mode, defaults: Asked, templates: BTreeMap<String, Asked>) -> Links {
    let form = Arc::new(form(mode));
    let rules = Rules { defaults, templates, ..Rules::new(mode, Pipeline::IdDocument) };
    Links { rules: Arc::new(rules), form: Arc::new(move || form.clone()), ..links("default") }
}

fn asking(params: LiveformParams) -> CreateLeaseRequest {
    CreateLeaseRequest { params: Some(params), ..CreateLeaseRequest::default() }
}

/// What stands in the open behind the pid, and what in the envelope.
fn read(lease: &Lease) -> (&str, String) {
    let tail = lease.url.split_once("?pid=pid_default").unwrap().1;
    let (open, sealed) = tail.split_once("&encrypted=").unwrap_or((tail, ""));
    let decoded = sealed.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    (open, form(Mode::Mixed).open(&decoded).unwrap_or_default())
}

#[tokio::test]
async fn what_must_be_encrypted_is_and_the_rest_stands_in_the_open() {
    let stand = Stand::ready().await;
    let links = linked(Mode::Mixed, Asked::default(), BTreeMap::new());
    let mut pool = Pool::new(stand.serve_links(links).await);
    let params = LiveformParams {
        userid: "u1".to_owned(),
        age_limit: Some(false),
        allowed_countries: vec!["USA".to_owned(), "KOR".to_owned()],
        selected_issuing_country: "KOR".to_owned(),
        selected_id_type: "passport".to_owned(),
        unchecked: BTreeMap::from([("newOption".to_owned(), "true".to_owned())]),
        ..LiveformParams::default()
    };
    let lease = lease(&mut pool, asking(params)).await.unwrap();
    let (open, sealed) = read(&lease);
    assert_eq!(open, format!("&token={}&userid=u1&ageLimit=false", lease.token_id));
    assert_eq!(
        sealed,
        r#"{"allowedCountries":"USA,KOR","selectedIssuingCountry":"KOR","selectedIdType":"passport","newOption":true}"#
    );
}

#[tokio::test]
async fn in_encryption_only_mode_the_token_is_inside_too() {
    let stand = Stand::ready().await;
    let links = linked(Mode::Sealed, Asked::default(), BTreeMap::new());
    let mut pool = Pool::new(stand.serve_links(links).await);
    let params = LiveformParams {
        userid: "u1".to_owned(),
        lang: "ko".to_owned(),
        ..LiveformParams::default()
    };
    let lease = lease(&mut pool, asking(params)).await.unwrap();
    let inside = format!(r#"{{"token":"{}","userid":"u1"}}"#, lease.token_id);
    assert_eq!(read(&lease), ("&lang=ko", inside));
}

#[tokio::test]
async fn a_template_holds_where_the_caller_says_nothing_and_the_defaults_below_it() {
    let template = Asked::default().with(Parameter::AllowedCountries, vec!["KOR".to_owned()]);
    let templates = BTreeMap::from([("kr".to_owned(), template)]);
    let defaults = Asked::default().with(Parameter::Lang, "ko").with(Parameter::Cf1, "app");
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve_links(linked(Mode::Mixed, defaults, templates)).await);
    let said = LiveformParams { cf1: "web".to_owned(), ..LiveformParams::default() };
    let request = CreateLeaseRequest { template: "kr".to_owned(), ..asking(said) };
    let made = lease(&mut pool, request).await.unwrap();
    let (open, sealed) = read(&made);
    assert_eq!(open, format!("&token={}&cf1=web&lang=ko", made.token_id));
    assert_eq!(sealed, r#"{"allowedCountries":"KOR"}"#);
    let unknown = CreateLeaseRequest { template: "us".to_owned(), ..CreateLeaseRequest::default() };
    assert_eq!(fields(&lease(&mut pool, unknown).await.unwrap_err()), ["template"]);
}

#[tokio::test]
async fn every_rule_that_a_link_breaks_is_told_with_its_field_also_inside_of_a_batch() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve_links(links("default")).await);
    let params = LiveformParams {
        allowed_countries: vec!["KOR".to_owned(), "kor".to_owned()],
        selected_id_type: "passport".to_owned(),
        age_limit: Some(true),
        start_valid_until: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
        ..LiveformParams::default()
    };
    let expected = [
        "params.age_limit",
        "params.allowed_countries[1]",
        "params.start_valid_until",
        "params.selected_id_type",
    ];
    let refused = lease(&mut pool, asking(params.clone())).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::InvalidArgument, "INVALID_REQUEST".into())
    );
    assert_eq!(fields(&refused), expected);
    let requests = vec![CreateLeaseRequest::default(), asking(params)];
    let batch = BatchCreateLeasesRequest { requests, ..BatchCreateLeasesRequest::default() };
    let refused = pool.batch_create_leases(batch).await.unwrap_err();
    assert_eq!(fields(&refused), expected.map(|field| format!("requests[1].{field}")));
}

#[tokio::test]
async fn a_link_that_would_be_too_long_is_refused_with_its_length() {
    let stand = Stand::ready().await;
    let links = Links { url_max_bytes: 300, ..links("default") };
    let mut pool = Pool::new(stand.serve_links(links).await);
    let params = LiveformParams { cf1: "김".repeat(30), ..LiveformParams::default() };
    let refused = lease(&mut pool, asking(params)).await.unwrap_err();
    assert_eq!(fields(&refused), ["params"]);
    let rule = "the URL would have 347 bytes and may have 300";
    let violations = refused.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].description, rule);
}

#[tokio::test]
async fn a_link_whose_lease_would_be_too_large_is_refused_with_its_length() {
    let stand = Stand::ready().await;
    let sealing = linked(Mode::Sealed, Asked::default(), BTreeMap::new());
    let mut pool = Pool::new(stand.serve_links(Links { url_max_bytes: 8_192, ..sealing }).await);
    let text = "x".repeat(256);
    let params = LiveformParams {
        userid: text.clone(),
        cf1: text.clone(),
        cf2: text.clone(),
        cf3: text.clone(),
        projection_id: text.clone(),
        projection_name: text.clone(),
        main_color: text,
        ..LiveformParams::default()
    };
    let refused = lease(&mut pool, asking(params)).await.unwrap_err();
    assert_eq!(fields(&refused), ["params"]);
    let violations = refused.get_details_bad_request().unwrap().field_violations;
    assert!(violations[0].description.ends_with("and may have 4096"), "{violations:?}");
}

/// L3: templates and modes change between a call and its repeat.
#[tokio::test]
async fn a_repeat_is_answered_also_when_its_link_could_not_be_written_any_more() {
    let template = Asked::default().with(Parameter::AllowedCountries, vec!["KOR".to_owned()]);
    let templates = BTreeMap::from([("kr".to_owned(), template)]);
    let stand = Stand::ready().await;
    let before = linked(Mode::Mixed, Asked::default(), templates);
    let mut pool = Pool::new(stand.serve_links(before).await);
    let request = CreateLeaseRequest {
        request_id: SOME_ID.to_owned(),
        template: "kr".to_owned(),
        ..CreateLeaseRequest::default()
    };
    let first = lease(&mut pool, request.clone()).await.unwrap();
    let after = linked(Mode::Plain, Asked::default(), BTreeMap::new());
    let mut pool = Pool::new(stand.serve_links(after).await);
    assert_eq!(lease(&mut pool, request.clone()).await.unwrap(), first);
    let other = CreateLeaseRequest { request_id: SOME_ID.replace('6', "7"), ..request };
    assert_eq!(fields(&lease(&mut pool, other).await.unwrap_err()), ["template"]);
}

#[tokio::test]
async fn a_replacement_says_what_the_first_link_said_with_the_keys_of_today() {
    let stand = Stand::ready().await;
    let sealing = linked(Mode::Sealed, Asked::default(), BTreeMap::new());
    let mut pool = Pool::new(stand.serve_links(sealing).await);
    let params = LiveformParams {
        cf1: "a b".to_owned(),
        age_limit: Some(false),
        allowed_countries: vec!["KOR".to_owned()],
        ..LiveformParams::default()
    };
    let old = lease(&mut pool, asking(params)).await.unwrap();
    let mixed = linked(Mode::Mixed, Asked::default(), BTreeMap::new());
    let mut pool = Pool::new(stand.serve_links(mixed).await);
    let replace = ReplaceLeaseRequest { lease_id: old.lease_id, ..ReplaceLeaseRequest::default() };
    let new = pool.replace_lease(replace).await.unwrap().into_inner().lease.unwrap();
    let (open, sealed) = read(&new);
    assert_eq!(open, format!("&token={}&cf1=a%20b&ageLimit=false", new.token_id));
    assert_eq!(sealed, r#"{"allowedCountries":"KOR"}"#);
}
