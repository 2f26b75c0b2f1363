//! The simulated ARGOS as a project that seals, over its sockets: the Liveform's page, the REST side
//! and a key that is replaced meanwhile.

use argospool::sim::{
    Cipher, Command, Gcm, ProjectOptions, RuleChange, Simulator, SimulatorOptions, Visitor,
};
use serde_json::{Value, json};

use super::PID;

const KEY: &str = "argos_test_demo";
const SECRET: &str = "secret-key-of-links";

async fn simulator(rules: RuleChange) -> Simulator {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let secret_key = Some(SECRET.to_owned());
    let project = ProjectOptions { secret_key, rules, ..ProjectOptions::default() };
    let options = SimulatorOptions { projects: vec![project], ..SimulatorOptions::default() };
    Simulator::start(options).await.unwrap()
}

fn secure() -> RuleChange {
    RuleChange { secure_transfer: Some(true), ..RuleChange::default() }
}

/// Registers a token as a project with Secure Data Transfer has to; the answer as it came.
async fn register(simulator: &Simulator, key: &str, token: &str) -> (u16, Value) {
    let body = json!({ "tokenId": [token] }).to_string();
    let url = format!("{}/submission/tokens", simulator.api_url());
    let request = reqwest::Client::new().post(url).header("x-api-key", key);
    let request = request.header("content-type", "text/plain");
    let answer = request.body(Cipher::Ecb.seal(body.as_bytes(), key)).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
}

fn opened(answer: &Value, key: &str) -> Value {
    let plain = Cipher::Ecb.open(answer["data"].as_str().unwrap(), key).unwrap();
    serde_json::from_slice(&plain).unwrap()
}

/// A link with this sealed in it, percent-encoded as far as base64 and hex need it.
fn link(simulator: &Simulator, cipher: Cipher, secret: &str, inside: &Value) -> String {
    let text = cipher.seal(inside.to_string().as_bytes(), secret);
    let text = text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    format!("{}/?pid={PID}&encrypted={text}&lang=ko", simulator.form_url())
}

#[tokio::test]
async fn a_sealed_link_opens_the_page_that_says_what_it_says_and_a_plain_one_the_error_page() {
    let gcm = Cipher::Gcm(Gcm::default());
    let rules = RuleChange { link_cipher: Some(gcm), ..secure() };
    let simulator = simulator(rules).await;
    assert_eq!(register(&simulator, KEY, "kyc-0000001a").await.0, 200);
    let inside = json!({"token": "kyc-0000001a", "allowedCountries": "USA,KOR", "cf1": "<b>"});
    let url = link(&simulator, gcm, SECRET, &inside);
    let page = reqwest::get(&url).await.unwrap().text().await.unwrap();
    for row in [
        "<tr data-parameter=\"allowedCountries\" data-sealed=\"true\">",
        "<tr data-parameter=\"token\" data-sealed=\"true\">",
        "<tr data-parameter=\"lang\" data-sealed=\"false\">",
        "<td>USA,KOR</td>",
        "<td>&lt;b&gt;</td>",
        "<td>…001a</td>",
    ] {
        assert!(page.contains(row), "{row} in {page}");
    }
    let mut visitor = Visitor::new(&simulator.form_url()).unwrap();
    visitor.start(&url).await.unwrap();

    let cause = async |url: &str| {
        let mut visitor = Visitor::new(&simulator.form_url()).unwrap();
        visitor.open(url).await.unwrap().cause.unwrap()
    };
    let plain = format!("{}/?pid={PID}&allowedCountries=KOR", simulator.form_url());
    assert_eq!(cause(&plain).await, "parameter-in-the-open");
    assert_eq!(cause(&link(&simulator, gcm, KEY, &inside)).await, "parameters");
    assert_eq!(cause(&link(&simulator, Cipher::Ecb, SECRET, &inside)).await, "parameters");
    let alone = json!({"selectedIdType": "passport"});
    assert_eq!(cause(&link(&simulator, gcm, SECRET, &alone)).await, "parameters-conflict");
    let refused = simulator.counters(PID).unwrap().opens_refused;
    assert_eq!((refused["parameter-in-the-open"], refused["parameters"]), (1, 2));
}

#[tokio::test]
async fn a_replaced_api_key_is_forbidden_and_the_new_one_seals_and_opens() {
    let simulator = simulator(secure()).await;
    let (status, answer) = register(&simulator, KEY, "kyc-0000001a").await;
    assert_eq!((status, &opened(&answer, KEY)["success"]), (200, &json!(true)));
    let rules = RuleChange { api_key: Some("argos_test_next".into()), ..RuleChange::default() };
    simulator.control(Command::Rules(rules)).unwrap();
    let (status, answer) = register(&simulator, KEY, "kyc-0000002b").await;
    assert_eq!((status, answer), (403, json!({"message": "Forbidden"})));
    let (status, answer) = register(&simulator, "argos_test_next", "kyc-0000002b").await;
    let summary = &opened(&answer, "argos_test_next")["summary"];
    assert_eq!((status, &summary["currentCount"]), (200, &json!(2)));
}
