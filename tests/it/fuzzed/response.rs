//! Answers of ARGOS to each call: any status, any headers, any body, in an envelope or not (B1, B3).
//!
//! Four lines go before the body: the operation with how many ids were sent (`r3`) and how the answer
//! travels, the status, `Retry-After`, and `Date`. `@0` to `@9` stand for ids that were asked about.

use argospool::{
    argos::{
        judge::{self, Answer, Exchange},
        transfer::{self, Arrived, RequestShape, Transfer},
        wire::{self, Operation, submissions},
    },
    domain::{
        envelope::{Cipher, Keyring},
        ids::{SubmissionId, TokenId},
        paging::{Cursor, Days},
        pool::Command,
        secret::Secret,
        submission::Report,
    },
    port::{DoubtfulCause, Outcome, Refused, RefusedCause},
};
use serde_json::{Map, Value, json};

use super::{
    draw::Draw,
    pool::{self, NOW, Told},
    said, sealed,
};

const KEY: &str = "test-api-key-0001";
const ASKED: &str = "sub-1";

pub fn holds(bytes: &[u8]) {
    let mut draw = Draw::of(bytes);
    let mut head = Draw::of(draw.line());
    let (operation, batch) = (operation(head.byte()), usize::from(head.byte() % 16));
    let way = head.byte();
    let status = draw.text().parse().unwrap_or(200);
    let [retry_after, date] = [draw.text(), draw.text()];
    let seal = pool::seal();
    let name = |digit: u8| Some(pool::token_id(&seal, digit.into()).expose().to_owned());
    let arrived = arrives(way, &said::with_names(draw.rest(), b'@', name));
    let (body, opened) = opened(&arrived);
    let at = judge::http_date(&date).unwrap_or(NOW);
    let retry_after = (!retry_after.is_empty()).then_some(&*retry_after);
    let answer = Answer { status, retry_after, at, body: &body, sealed: opened || way & 1 == 1 };
    let exchange = match way {
        b'n' => Exchange::NotSent,
        b'u' => Exchange::Unanswered,
        _ => Exchange::Answered(answer),
    };
    let asked = pool::token_id(&seal, 0);
    judged(operation, exchange, batch, &asked);
}

fn operation(letter: u8) -> Operation {
    match letter {
        b'd' => Operation::Delete,
        b'c' => Operation::Count,
        b'f' => Operation::Find,
        b'l' => Operation::List,
        b's' => Operation::FindSubmission,
        b'w' => Operation::ListSubmissions,
        b'm' => Operation::Settings,
        _ => Operation::Register,
    }
}

fn keyring() -> Keyring {
    Keyring::new(Cipher::Ecb, &Secret::new(KEY.to_owned()), [])
}

fn arrives(way: u8, body: &[u8]) -> Vec<u8> {
    let request_shape = match way {
        b'e' => RequestShape::Data,
        b'r' => RequestShape::Raw,
        _ => return body.to_vec(),
    };
    let transfer = Transfer { seal_requests: true, request_shape };
    let body = String::from_utf8_lossy(body).into_owned();
    transfer.seal(body, &keyring(), &Default::default()).into_bytes()
}

/// The body as it is judged. What was opened had been sealed by whoever knows the key.
fn opened(arrived: &[u8]) -> (Vec<u8>, bool) {
    let Arrived::Opened(content) = transfer::open(arrived, &keyring()) else {
        return (arrived.to_vec(), false);
    };
    assert!(said::object(&content).is_some(), "noise was taken for an answer");
    let envelope = match serde_json::from_slice(arrived) {
        Ok(Value::Object(fields)) => fields["data"].as_str().unwrap().to_owned(),
        Ok(Value::String(text)) => text,
        Ok(_) | Err(_) => String::from_utf8(arrived.to_vec()).unwrap(),
    };
    let by = |cipher: &Cipher| sealed::was_sealed(KEY, *cipher, &content, envelope.trim());
    assert!(sealed::every_cipher().iter().any(by), "opened, and nobody had sealed it");
    (content, true)
}

fn judged(operation: Operation, exchange: Exchange<'_>, batch: usize, asked: &TokenId) {
    let submission = SubmissionId::parse(ASKED).unwrap();
    match operation {
        Operation::Register => {
            let outcome = judge::register(exchange, batch);
            bounded(operation, exchange, &outcome);
            if let Outcome::Settled(registered) = outcome {
                let fields = settled(exchange);
                registration_agrees(&fields, batch as u64);
                assert!(registered.count.is_none_or(|count| u64::from(count) >= batch as u64));
                no_contradiction_settles(&fields, batch);
            }
        }
        Operation::Delete => {
            let outcome = judge::delete(exchange, batch);
            bounded(operation, exchange, &outcome);
            if outcome == Outcome::Settled(()) && !says_unknown(exchange) {
                deletion_agrees(&settled(exchange), batch as u64);
            }
        }
        Operation::Count => {
            let outcome = judge::count(exchange);
            bounded(operation, exchange, &outcome);
            if let Outcome::Settled(count) = outcome {
                let fields = Value::Object(settled(exchange));
                let (number, padded) = (count.to_string(), format!("{count} "));
                let stands = said::says(&fields, &number) || digits(&fields, padded.trim());
                assert!(stands, "a count from nowhere");
            }
        }
        Operation::Find => {
            let outcome = judge::find(exchange, asked);
            bounded(operation, exchange, &outcome);
            match outcome {
                Outcome::Settled(Some(entry)) => {
                    assert_eq!(entry.token, *asked);
                    let fields = Value::Object(settled(exchange));
                    assert!(said::says(&fields, asked.expose()), "found, and not in the answer");
                }
                Outcome::Settled(None) => assert!(says_unknown(exchange), "gone without a word"),
                Outcome::Refused(_) | Outcome::Doubtful(_) => (),
            }
        }
        Operation::List => {
            let outcome = judge::list(exchange);
            bounded(operation, exchange, &outcome);
            if let Outcome::Settled(page) = outcome {
                let fields = Value::Object(settled(exchange));
                for entry in &page.entries {
                    assert!(said::says(&fields, entry.token.expose()), "an id from nowhere");
                }
                if let Some(cursor) = &page.next {
                    turns_over(cursor, &wire::list_query(cursor));
                }
                listed(page);
            }
        }
        Operation::FindSubmission => {
            let outcome = judge::submission(exchange, &submission, NOW);
            bounded(operation, exchange, &outcome);
            if let Outcome::Settled(Some(report)) = &outcome {
                assert_eq!(report.fact.submission.as_ref(), Some(&submission));
                rests_on(&settled(exchange), report);
                Told::new().hear(report);
            }
        }
        Operation::ListSubmissions => {
            let outcome = judge::submissions(exchange, NOW);
            bounded(operation, exchange, &outcome);
            if let Outcome::Settled(list) = outcome {
                let fields = settled(exchange);
                let mut told = Told::new();
                for report in &list.reports {
                    assert!(report.fact.submission.is_some(), "whose submission?");
                    rests_on(&fields, report);
                    told.hear(report);
                }
                if let Some(cursor) = &list.next {
                    let days = Days { first: NOW, last: NOW };
                    turns_over(cursor, &submissions::submissions_query(days, Some(cursor)));
                }
            }
        }
        Operation::Settings => bounded(operation, exchange, &judge::settings(exchange)),
    }
}

/// What holds for every answer to every call: who was refused certainly was, and nobody is sent away for
/// longer than an hour.
fn bounded<T: std::fmt::Debug>(operation: Operation, exchange: Exchange<'_>, outcome: &Outcome<T>) {
    let pause = match outcome {
        Outcome::Settled(_) => None,
        Outcome::Refused(refused) => refused.retry_after,
        Outcome::Doubtful(doubtful) => doubtful.retry_after,
    };
    assert!(pause.is_none_or(|pause| pause <= judge::RETRY_AFTER_MAX), "sent away for {pause:?}");
    let answer = match exchange {
        Exchange::NotSent => {
            let refused = Refused { cause: RefusedCause::NotSent, retry_after: None };
            return assert!(matches!(outcome, Outcome::Refused(it) if *it == refused));
        }
        Exchange::Unanswered => {
            return assert!(
                matches!(outcome, Outcome::Doubtful(it) if it.cause == DoubtfulCause::Unanswered)
            );
        }
        Exchange::Answered(answer) => answer,
    };
    match outcome {
        Outcome::Settled(_) => assert!(matches!(answer.status, 200 | 400 | 404 | 500)),
        Outcome::Refused(Refused { cause, .. }) => {
            let fits = match cause {
                RefusedCause::NotSent => false,
                RefusedCause::Key | RefusedCause::Address => matches!(answer.status, 400 | 403),
                RefusedCause::Throttled => answer.status == 429,
                RefusedCause::Request => matches!(answer.status, 400 | 413),
                RefusedCause::TooMany => {
                    operation.carries_ids() && matches!(answer.status, 400 | 413)
                }
                RefusedCause::Transfer => {
                    operation.carries_ids() && matches!(answer.status, 400..=500)
                }
            };
            assert!(fits, "{cause:?} of a {} to {operation:?}", answer.status);
        }
        Outcome::Doubtful(doubtful) => {
            let lost = doubtful.cause == DoubtfulCause::Unanswered;
            assert_eq!(lost, matches!(answer.status, 408 | 501..=599), "{}", answer.status);
        }
    }
    let printed = format!("{outcome:?}");
    let ids = (0..10).map(|number| pool::token_id(&pool::seal(), number));
    assert!(ids.into_iter().all(|id| !printed.contains(id.expose())), "P1: a token is printed");
}

/// The fields of an answer that went well: a 200 that says neither no nor why not.
fn settled(exchange: Exchange<'_>) -> Map<String, Value> {
    let Exchange::Answered(answer) = exchange else { panic!("settled without an answer") };
    assert_eq!(answer.status, 200);
    let fields = said::object(answer.body).expect("an answer that is no object settles nothing");
    assert_eq!(said::told(&fields, "errorCode"), None, "an error is a success");
    let yes = [json!(true), json!(1)];
    let yes = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        yes.contains(value) || text.eq_ignore_ascii_case("true") || text == "1"
    };
    assert!(said::told(&fields, "success").is_none_or(yes), "a no is a success");
    fields
}

/// Whether it says by its code that what was asked about is not known.
fn says_unknown(exchange: Exchange<'_>) -> bool {
    let Exchange::Answered(answer) = exchange else { return false };
    let fields = said::object(answer.body).unwrap_or_default();
    let code = said::told(&fields, "errorCode").and_then(Value::as_str).unwrap_or_default();
    matches!(answer.status, 400 | 404 | 500) && code.ends_with("not_found")
}

/// Every number that an answer gives to these names, at the top and in its summary.
fn numbers<'a>(fields: &'a Map<String, Value>, name: &'a str) -> Vec<Option<u64>> {
    let summary = fields.get("summary").and_then(Value::as_object);
    let places = [Some(fields), summary].into_iter().flatten();
    let told = places.filter_map(|place| said::told(place, name));
    let number = |value: &Value| match value {
        Value::Array(items) => Some(items.len() as u64),
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.as_u64(),
        Value::Null | Value::Bool(_) | Value::Object(_) => None,
    };
    told.map(number).collect()
}

fn registration_agrees(fields: &Map<String, Value>, batch: u64) {
    for name in ["totalSubmitted", "processed"] {
        let all = numbers(fields, name).into_iter().all(|number| number == Some(batch));
        assert!(all, "B3: {name} contradicts the batch");
    }
    assert!(numbers(fields, "failed").into_iter().all(|it| it == Some(0)), "B3: some failed");
    let held = numbers(fields, "currentCount");
    assert!(held.into_iter().all(|it| it.is_some_and(|it| it >= batch)), "B3: less than the batch");
    let signs =
        ["totalSubmitted", "processed"].iter().any(|name| !numbers(fields, name).is_empty());
    assert!(signs || said::told(fields, "success").is_some(), "B3: nothing says that it was done");
}

fn deletion_agrees(fields: &Map<String, Value>, batch: u64) {
    let submitted = numbers(fields, "totalSubmitted");
    assert!(submitted.into_iter().all(|it| it == Some(batch)), "another batch");
    assert!(numbers(fields, "failed").into_iter().all(|it| it == Some(0)), "some failed");
    let first = |name| numbers(fields, name).into_iter().next().flatten();
    if let Some(deleted) = first("deleted") {
        assert!(deleted <= batch, "more than there were");
        assert!(
            deleted == batch
                || fields.contains_key("notFound")
                || fields.contains_key("summary")
                || fields.contains_key("details"),
            "some are not gone"
        );
    }
}

/// Whatever settled settles no more with a contradiction beside it, and never for another batch.
fn no_contradiction_settles(fields: &Map<String, Value>, batch: usize) {
    let contradictions = [
        ("failed", json!(1)),
        ("errorCode", json!("internal_server_error")),
        ("success", json!(false)),
        ("processed", json!(batch + 1)),
        ("totalSubmitted", json!("some")),
        ("details", json!({ "failed": ["ap-1"] })),
    ];
    for (name, value) in contradictions {
        let mut fields = fields.clone();
        fields.insert(name.to_owned(), value);
        let body = serde_json::to_vec(&fields).unwrap();
        let answer = Answer { status: 200, retry_after: None, at: NOW, body: &body, sealed: false };
        let outcome = judge::register(Exchange::Answered(answer), batch);
        assert!(!matches!(outcome, Outcome::Settled(_)), "B3: settled beside {name}");
    }
}

/// A number as text, with room around it or zeros before it.
fn digits(value: &Value, number: &str) -> bool {
    match value {
        Value::String(text) => {
            let text = text.trim().trim_start_matches('+').trim_start_matches('0');
            text == number || text.is_empty() && number == "0"
        }
        Value::Array(items) => items.iter().any(|item| digits(item, number)),
        Value::Object(fields) => fields.values().any(|field| digits(field, number)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A cursor comes back as it was given.
fn turns_over(cursor: &Cursor, query: &str) {
    let values = query.split('&').filter_map(|pair| pair.split_once('='));
    let values: Vec<_> = values
        .map(|(_, value)| percent_encoding::percent_decode_str(value).decode_utf8().unwrap())
        .collect();
    assert!(values.iter().any(|value| **value == *cursor.id), "the cursor's id is lost");
    assert!(values.iter().any(|value| **value == *cursor.time), "the cursor's time is lost");
}

/// A pool takes in any page.
fn listed(page: wire::Page) {
    let pool = Told::new().pool;
    let tokens = page.entries.into_iter().map(|entry| entry.token).collect();
    let command = Command::Listed { tokens, unreadable: page.unreadable, next: page.next };
    let verdict = pool.decide(&command, NOW);
    let mut pool = pool;
    for event in verdict.iter().flat_map(|verdict| &verdict.events) {
        pool.apply(event);
    }
    assert_eq!(pool.audit(), [], "after a page of the listing");
}

fn rests_on(fields: &Map<String, Value>, report: &Report) {
    let body = Value::Object(fields.clone());
    let Report { token, marks, fact } = report;
    assert!(fact.at <= NOW && !fact.asked);
    assert!(token.iter().all(|token| said::says(&body, token.expose())), "a token from nowhere");
    assert!(
        fact.submission.iter().all(|it| said::says(&body, it.as_str())),
        "a made up submission"
    );
    assert!(marks.0.iter().all(|mark| said::says(&body, mark)), "a mark from nowhere");
}
