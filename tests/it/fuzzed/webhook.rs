//! Bodies of webhooks, from the envelope down to a pool (W1).
//!
//! A line is a webhook: how it travels, and its body. `@0` to `@5` stand for the tokens of the pool, `#0`
//! to `#5` for the marks of their links. A `+` lets time pass, in which sessions end.

use std::time::Duration;

use argospool::{
    domain::{
        envelope::{Cipher, Gcm, Keyring},
        limits::MARK_BYTES,
        pool::Heard,
        secret::Secret,
        submission::{FactKind, Report},
        token::Decision,
    },
    http::webhook::{
        self,
        notice::{self, Notice, Trigger},
    },
};
use serde_json::{Map, Value, json};

use super::{
    draw::Draw,
    pool::{LEASED, NOW, Told, seal, token_id},
    said,
};

const KEYS: [&str; 2] = ["test-api-key-0002", "test-api-key-0001"];
const STATUSES: [&str; 4] = ["incomplete", "rejected", "pending", "approved"];
/// Beyond this many the pool forgets submissions, and which ones depends on their order.
const SUBMISSIONS_TOLD: usize = 4;

pub fn holds(bytes: &[u8]) {
    let seal = seal();
    let name = |digit: u8| Some(token_id(&seal, digit.into()).expose().to_owned());
    let mark = |digit: u8| Some(seal.mark(argospool::domain::ids::Sequence::new(digit.into())));
    let mut told = Told::new();
    let mut reports = Vec::new();
    let mut draw = Draw::of(bytes);
    let mut timeless = true;
    while !draw.is_empty() {
        let mut line = Draw::of(draw.line());
        let way = line.byte();
        if way == b'+' {
            told.pass(Duration::from_secs(900));
            timeless = false;
            continue;
        }
        let body = said::with_names(&said::with_names(line.rest(), b'@', name), b'#', mark);
        let read = webhook::read(&arrives(way, &body), &keyring(Cipher::Ecb), told.now);
        travels_without_harm(way, &body, &read, &told);
        if let (trigger, Notice::Report(report)) = read {
            says_no_more_than(&body, trigger, &report, &told);
            let heard = told.hear(&report);
            let again = told.hear(&report);
            if heard.is_some_and(|(_, heard)| heard == Heard::News) {
                assert!(
                    again.is_none_or(|(_, again)| again != Heard::News),
                    "W1: news twice: {report:?}"
                );
            }
            reports.push(report);
        }
    }
    if timeless && is_ordered_by_itself(&reports) {
        comes_to_the_same_in_any_order(&told, &reports);
    }
}

fn keyring(cipher: Cipher) -> Keyring {
    let [current, previous] = KEYS.map(|key| Secret::new(key.to_owned()));
    Keyring::new(cipher, &current, [&previous])
}

/// The body as ARGOS sends it: in the clear, or in one of the envelopes.
fn arrives(way: u8, body: &[u8]) -> Vec<u8> {
    let old = Keyring::new(Cipher::Ecb, &Secret::new(KEYS[1].to_owned()), []);
    let nonce = [way; 16];
    let enveloped = |text: String| json!({ "data": text }).to_string();
    match way {
        b'r' => keyring(Cipher::Ecb).seal(body, &nonce).into_bytes(),
        b'd' => enveloped(keyring(Cipher::Ecb).seal(body, &nonce)).into_bytes(),
        b'o' => enveloped(old.seal(body, &nonce)).into_bytes(),
        b'0'..=b'9' | b'a' | b'b' => {
            let shapes: Vec<_> = Gcm::all().collect();
            let shape = shapes[usize::from(way) % shapes.len()];
            enveloped(keyring(Cipher::Gcm(shape)).seal(body, &nonce)).into_bytes()
        }
        _ => body.to_vec(),
    }
}

/// What came sealed is read as if it had come in the clear; an envelope within an envelope is nothing.
fn travels_without_harm(way: u8, body: &[u8], read: &(Trigger, Notice), told: &Told) {
    let plain = notice::read(body, told.now);
    let sealed = matches!(way, b'r' | b'd' | b'o' | b'0'..=b'9' | b'a' | b'b');
    if !sealed {
        return;
    }
    let expected = match plain {
        _ if said::object(body).is_none() => (Trigger::None, Notice::Sealed),
        (trigger, Notice::Sealed) => (trigger, Notice::Malformed),
        plain => plain,
    };
    assert_eq!(*read, expected, "sealed by {:?}", char::from(way));
}

/// A report rests on what the body says, and nothing in the body contradicts a decision of it.
fn says_no_more_than(body: &[u8], trigger: Trigger, report: &Report, told: &Told) {
    let body = Value::Object(said::object(opened(body).as_deref().unwrap_or(body)).unwrap());
    let Report { token, marks, fact } = report;
    assert!(trigger.tells() && fact.at <= told.now && !fact.asked);
    assert!(token.iter().all(|token| said::says(&body, token.expose())), "a token from nowhere");
    assert!(
        fact.submission.iter().all(|it| said::says(&body, it.as_str())),
        "a made up submission"
    );
    for mark in &marks.0 {
        assert!(mark.len() == MARK_BYTES && said::says(&body, mark), "no mark, or from nowhere");
    }
    let printed = format!("{report:?}");
    assert!(token.iter().all(|token| !printed.contains(token.expose())), "P1: a token is printed");
    assert!(marks.0.iter().all(|mark| !printed.contains(&**mark)), "P1: a mark is printed");
    if let FactKind::Decided(decision) = fact.kind {
        let words = statuses(body.as_object().unwrap(), trigger);
        let by_trigger = match trigger {
            Trigger::Submit => Some(Decision::Pending),
            Trigger::Approved => Some(Decision::Approved),
            Trigger::Rejected => Some(Decision::Rejected),
            Trigger::Created
            | Trigger::Retry
            | Trigger::Updated
            | Trigger::Delete
            | Trigger::Injection
            | Trigger::Aml
            | Trigger::AmlMonitor
            | Trigger::TokenExpired
            | Trigger::Other
            | Trigger::None => None,
        };
        assert!(by_trigger.is_none_or(|by_trigger| by_trigger == decision), "another decision");
        let agrees = words.iter().any(|word| word == decision.as_str());
        assert!(agrees || words.is_empty() && by_trigger.is_some(), "{decision:?} of {words:?}");
    }
}

/// The object inside of what is an envelope itself although it came in the clear.
fn opened(body: &[u8]) -> Option<Vec<u8>> {
    use argospool::argos::transfer::{Arrived, open};
    match open(body, &keyring(Cipher::Ecb)) {
        Arrived::Opened(content) => Some(content),
        Arrived::Plain | Arrived::Unopened | Arrived::Neither => None,
    }
}

/// Every documented status that stands where ARGOS tells one.
fn statuses(fields: &Map<String, Value>, trigger: Trigger) -> Vec<String> {
    let data = fields.get("data").and_then(Value::as_object);
    let data = data.filter(|_| trigger == Trigger::Updated);
    let places = [Some(fields), data].into_iter().flatten();
    let told = places.flat_map(|place| ["kyc_result", "kyc"].map(|name| place.get(name))).flatten();
    let words = told.flat_map(|told| [Some(told), told.get("status"), told.get("result")]);
    let words = words.flatten().filter_map(Value::as_str);
    let words = words.map(|word| word.trim().to_ascii_lowercase());
    words.filter(|word| STATUSES.contains(&word.as_str())).collect()
}

/// Everything names its token, so that no question is open, and no lease has more submissions than are
/// told apart.
fn is_ordered_by_itself(reports: &[Report]) -> bool {
    let mut names: Vec<_> = reports.iter().map(|report| &report.fact.submission).collect();
    names.sort();
    names.dedup();
    names.len() <= SUBMISSIONS_TOLD && reports.iter().all(|report| report.token.is_some())
}

fn comes_to_the_same_in_any_order(told: &Told, reports: &[Report]) {
    let mut backwards = Told::new();
    for report in reports.iter().rev().chain(reports) {
        backwards.hear(report);
    }
    assert_eq!(backwards.now, NOW);
    for number in 0..LEASED {
        assert_eq!(backwards.known(number), told.known(number), "W1: the order of arrival matters");
    }
}
