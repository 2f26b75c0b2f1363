//! Secure Data Transfer through the world's door, as a socket would hand it in.

use std::time::Duration;

use super::*;
use crate::sim::{
    control::{Command, ControlError},
    project::ProjectOptions,
    sealed::Gcm,
    world::World,
};

const PID: &str = "pid_demo";
const KEY: &str = "argos_test_demo";
const TOKENS: &str = "/v3/submission/tokens";

fn world(rules: Value) -> World {
    let rules = serde_json::from_value(rules).unwrap();
    World::new(vec![ProjectOptions { rules, ..ProjectOptions::default() }], Duration::ZERO, 0)
}

fn run(world: &mut World, name: &str, fields: Value) -> Result<Value, ControlError> {
    world.control(0, Command::read(name, fields.to_string().as_bytes())?)
}

/// The body of the answer as it came, and its status.
fn called(world: &mut World, key: &str, method: &str, place: &str, body: &str) -> (u16, Value) {
    let (path, query) = place.split_once('?').unwrap_or((place, ""));
    let request = ApiRequest {
        method: method.into(),
        path: path.into(),
        query: query.into(),
        key: Some(key.into()),
        body: body.as_bytes().to_vec(),
    };
    let reply = world.answer(0, &request).reply.unwrap();
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

fn named(ids: &[&str]) -> String {
    json!({ "tokenId": ids }).to_string()
}

fn sealed(plain: &str) -> String {
    Cipher::Ecb.seal(plain.as_bytes(), KEY)
}

/// What a sealed answer says.
fn opened(answer: &Value, cipher: Cipher, key: &str) -> Value {
    assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
    let plain = cipher.open(answer["data"].as_str().unwrap(), key).unwrap();
    serde_json::from_slice(&plain).unwrap()
}

#[test]
fn ids_arrive_as_the_ciphertext_itself_or_enclosed_and_the_answers_are_sealed() {
    let mut world = world(json!({"secure_transfer": true}));
    let raw = sealed(&named(&["kyc-0000001a", "kyc-0000002b"]));
    let (status, answer) = called(&mut world, KEY, "POST", TOKENS, &raw);
    assert_eq!(status, 200);
    assert_eq!(opened(&answer, Cipher::Ecb, KEY)["summary"]["processed"], 2);
    let enclosed = json!({"data": sealed(&named(&["kyc-0000001a"]))}).to_string();
    let (status, answer) = called(&mut world, KEY, "DELETE", TOKENS, &enclosed);
    assert_eq!(
        (status, &opened(&answer, Cipher::Ecb, KEY)["summary"]["deleted"]),
        (200, &json!(1))
    );
    for (place, member) in [
        ("/v3/submission/tokens?type=count", "count"),
        ("/v3/submission/tokens?tokenId=kyc-0000002b", "tokenId"),
        ("/v3/submission/tokens", "data"),
        ("/v3/submission", "Items"),
        ("/v3/projects/settings?category=management", "item"),
    ] {
        let (status, answer) = called(&mut world, KEY, "GET", place, "");
        assert_eq!(status, 200, "{place}");
        assert!(opened(&answer, Cipher::Ecb, KEY).get(member).is_some(), "{place}");
    }
    let in_order = format!("{TOKENS}?order=asc&count=1");
    assert_eq!(called(&mut world, KEY, "DELETE", &in_order, "").0, 200, "that has no body to seal");
    let counters = world.counters(PID).unwrap();
    assert_eq!((counters.post_tokens, counters.delete_tokens), (2, 1), "what is inside counts");
    assert_eq!((counters.bodies_opened, counters.answers_sealed), (2, 8));
}

#[test]
fn a_body_that_does_not_open_is_refused_and_changes_nothing() {
    let mut world = world(json!({"secure_transfer": true}));
    let ids = named(&["kyc-0000001a"]);
    let strange = Cipher::Ecb.seal(ids.as_bytes(), "another-key");
    let gcm = Cipher::Gcm(Gcm::default()).seal(ids.as_bytes(), KEY);
    let nonsense = sealed("no json");
    for body in [ids.as_str(), "", &strange, &gcm, &nonsense, "{\"data\":\"AAAA\"}"] {
        for method in ["POST", "DELETE"] {
            let (status, answer) = called(&mut world, KEY, method, TOKENS, body);
            assert_eq!(
                (status, &answer["errorCode"]),
                (400, &json!("decryption_failed")),
                "{body}"
            );
            let message = "Decryption is Failed. Please check the api-key.";
            assert_eq!(answer["errorMessage"], message);
        }
    }
    let counters = world.counters(PID).unwrap();
    assert_eq!((counters.bodies_opened, counters.bodies_unopened), (0, 12));
    assert_eq!((counters.pool_size, counters.posts, counters.post_tokens), (0, 6, 0));
}

#[test]
fn a_body_that_is_too_large_is_not_even_opened() {
    let mut world = world(json!({"secure_transfer": true, "body_bytes": 60}));
    let body = sealed(&named(&["kyc-0000001a", "kyc-0000002b"]));
    assert_eq!(called(&mut world, KEY, "POST", TOKENS, &body).0, 413);
    let counters = world.counters(PID).unwrap();
    assert_eq!((counters.bodies_opened, counters.bodies_unopened), (0, 0));
}

#[test]
fn without_secure_transfer_a_sealed_body_is_no_payload() {
    let mut world = world(json!({}));
    let text = sealed(&named(&["kyc-0000001a"]));
    for body in [text.clone(), json!({ "data": text }).to_string()] {
        let (status, answer) = called(&mut world, KEY, "POST", TOKENS, &body);
        assert_eq!((status, &answer["errorCode"]), (400, &json!("invalid_payload")));
    }
    let (_, answer) = called(&mut world, KEY, "POST", TOKENS, &named(&["kyc-0000001a"]));
    assert_eq!(answer["success"], true);
    assert_eq!(world.counters(PID).unwrap().answers_sealed, 0);
}

#[test]
fn errors_are_sealed_where_a_rule_says_so_and_the_gateways_never() {
    let unknown = format!("{TOKENS}?tokenId=kyc-0000009z");
    let mut world = world(json!({"secure_transfer": true}));
    let (_, answer) = called(&mut world, KEY, "GET", &unknown, "");
    assert_eq!(answer["errorCode"], "token_not_found");
    run(&mut world, "rules", json!({"sealed_errors": true})).unwrap();
    let (status, answer) = called(&mut world, KEY, "GET", &unknown, "");
    assert_eq!(status, 400);
    assert_eq!(opened(&answer, Cipher::Ecb, KEY)["errorCode"], "token_not_found");
    let (_, answer) = called(&mut world, KEY, "POST", TOKENS, "plain");
    assert_eq!(opened(&answer, Cipher::Ecb, KEY)["errorCode"], "decryption_failed");
    let fault = json!({"operation": "count", "times": 2, "fault": {"kind": "forbidden_address"}});
    run(&mut world, "faults", fault).unwrap();
    let (status, answer) = called(&mut world, KEY, "GET", &format!("{TOKENS}?type=count"), "");
    assert_eq!((status, answer.get("data")), (403, None));
    let (status, answer) = called(&mut world, "wrong", "GET", TOKENS, "");
    assert_eq!((status, &answer["message"]), (403, &json!("Forbidden")));
}

#[test]
fn a_project_that_transfers_with_gcm_opens_both_and_answers_with_gcm() {
    let gcm = Cipher::Gcm(Gcm::default());
    let mut world = world(json!({"secure_transfer": true, "transfer_cipher": {"gcm": {}}}));
    let ids = named(&["kyc-0000001a"]);
    for body in [sealed(&ids), gcm.seal(ids.as_bytes(), KEY)] {
        let (_, answer) = called(&mut world, KEY, "POST", TOKENS, &body);
        assert_eq!(opened(&answer, gcm, KEY)["success"], true);
    }
}

#[test]
fn a_late_copy_was_opened_when_it_came() {
    let mut world = world(json!({"secure_transfer": true}));
    let fault = json!({"operation": "post",
        "fault": {"kind": "status", "status": 504, "body": "empty", "effect": {"late_ms": 10}}});
    run(&mut world, "faults", fault).unwrap();
    let request = ApiRequest {
        method: "POST".into(),
        path: TOKENS.into(),
        query: String::new(),
        key: Some(KEY.into()),
        body: sealed(&named(&["kyc-0000001a"])).into_bytes(),
    };
    assert_eq!(world.answer(0, &request).reply.unwrap().status, 504);
    run(&mut world, "rules", json!({"api_key": "argos_test_next"})).unwrap();
    world.advance(10);
    assert_eq!(world.counters(PID).unwrap().pool_size, 1);
}

#[test]
fn a_new_api_key_shuts_the_old_one_out_and_seals_everything_from_then_on() {
    const NEXT: &str = "argos_test_next";
    let mut world = world(json!({"secure_transfer": true}));
    let seal = |plain: &str, key: &str| Cipher::Ecb.seal(plain.as_bytes(), key);
    let ids = named(&["kyc-0000001a"]);
    assert_eq!(called(&mut world, KEY, "POST", TOKENS, &seal(&ids, KEY)).0, 200);
    let link = |key| json!({"encrypted": seal("{\"token\":\"kyc-0000001a\"}", key)});
    run(&mut world, "liveform/open", link(KEY)).unwrap();

    run(&mut world, "rules", json!({"api_key": NEXT})).unwrap();
    let forbidden = (403, json!({"message": "Forbidden"}));
    assert_eq!(called(&mut world, KEY, "POST", TOKENS, &seal(&ids, KEY)), forbidden);
    assert_eq!(world.forbidden_calls(), 1);
    let (_, answer) = called(&mut world, NEXT, "POST", TOKENS, &seal(&ids, KEY));
    assert_eq!(answer["errorCode"], "decryption_failed");
    let (_, answer) = called(&mut world, NEXT, "POST", TOKENS, &seal(&ids, NEXT));
    assert_eq!(opened(&answer, Cipher::Ecb, NEXT)["success"], true);
    let refused = Err(ControlError::Refused { cause: "parameters" });
    assert_eq!(run(&mut world, "liveform/open", link(KEY)), refused);
    run(&mut world, "liveform/start", link(NEXT)).unwrap();
    let webhooks = json!({"url": "http://127.0.0.1:1/hook"});
    run(&mut world, "webhooks", webhooks).unwrap();
    run(&mut world, "webhook", json!({"body": {"webhook_trigger": "aml"}})).unwrap();
    let delivery = world.take_deliveries().pop().unwrap();
    let body: Value = serde_json::from_str(&delivery.body).unwrap();
    assert_eq!(opened(&body, Cipher::Ecb, NEXT)["webhook_trigger"], "aml");

    run(&mut world, "rules", json!({"secret_key": "secret-1"})).unwrap();
    run(&mut world, "liveform/open", link("secret-1")).unwrap();
    assert_eq!(run(&mut world, "liveform/open", link(NEXT)), refused);
    run(&mut world, "rules", json!({"secret_key": ""})).unwrap();
    run(&mut world, "liveform/open", link(NEXT)).unwrap();
}

#[test]
fn no_two_projects_get_the_same_api_key() {
    let other = ProjectOptions {
        pid: "pid_other".into(),
        api_key: "other-key".into(),
        ..ProjectOptions::default()
    };
    let mut world = World::new(vec![ProjectOptions::default(), other], Duration::ZERO, 0);
    for key in ["other-key", ""] {
        let refused = run(&mut world, "rules", json!({ "api_key": key }));
        assert_eq!(refused, Err(ControlError::KeyUnfit));
    }
    run(&mut world, "rules", json!({"api_key": KEY})).unwrap();
    assert!(!run(&mut world, "rules", json!({})).unwrap().to_string().contains(KEY));
}
