//! Spans in the words of OTLP, version 1: the part of `opentelemetry/proto` that is used here, held to the
//! whole of it by a stock receiver (`tests/clients/traces.py`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost::{Message, Oneof};
use uuid::Uuid;

use super::spans::{Finished, Value};

/// The span kinds of OTLP.
const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
/// The status of a span that went wrong.
const ERROR: i32 = 2;

/// Codes that say something about the server, and not about what was asked of it.
const FAULTS: [&str; 6] =
    ["Unknown", "DeadlineExceeded", "Unimplemented", "Internal", "Unavailable", "DataLoss"];

/// What a webhook came to, where it was not heard for our sake.
const UNHEARD: [&str; 2] = ["unavailable", "sealed"];

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

/// Who speaks.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "13")]
    links: Vec<Link>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
struct Link {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Any", tags = "1, 3")]
    value: Option<Any>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Any {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Whole(i64),
}

/// What a collector answers.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Answer {
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub rejected_spans: i64,
}

impl Resource {
    /// This process, told from others by a name that it makes up.
    pub(super) fn of(version: &str) -> Self {
        let attributes = vec![
            text("service.name", "argospool"),
            text("service.version", version),
            text("service.instance.id", &Uuid::new_v4().to_string()),
        ];
        Self { attributes }
    }
}

/// The body that carries these spans.
pub(super) fn request(resource: &Resource, spans: &[Finished]) -> Vec<u8> {
    let scope = Some(Scope { name: "argospool".to_owned() });
    let scope_spans = vec![ScopeSpans { scope, spans: spans.iter().map(span).collect() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource.clone()), scope_spans }];
    Request { resource_spans }.encode_to_vec()
}

fn span(finished: &Finished) -> Span {
    let said = |name: &str| {
        finished.fields.iter().find_map(|(field, value)| match value {
            Value::Text(text) if *field == name => Some(text.as_str()),
            Value::Text(_) | Value::Whole(_) => None,
        })
    };
    let (kind, name) = match finished.name {
        "request" => (SERVER, said("method").unwrap_or("request").to_owned()),
        "argos_call" => (CLIENT, format!("argos {}", said("operation").unwrap_or("call"))),
        "webhook" => (SERVER, format!("webhook {}", said("trigger").unwrap_or("none"))),
        "work" => (INTERNAL, said("purpose").unwrap_or("work").to_owned()),
        other => (INTERNAL, other.to_owned()),
    };
    let failed = said("code").is_some_and(|code| FAULTS.contains(&code))
        || said("result").is_some_and(|result| result != "settled")
        || said("heard").is_some_and(|heard| UNHEARD.contains(&heard));
    let start = nanos(finished.began);
    Span {
        trace_id: finished.trace.to_bytes(),
        span_id: finished.id.to_bytes(),
        parent_span_id: finished.parent.map(|id| id.to_bytes()).unwrap_or_default(),
        name,
        kind,
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(whole(finished.took)),
        attributes: finished.fields.iter().flat_map(attributes).collect(),
        links: finished
            .links
            .iter()
            .map(|(trace, span)| Link { trace_id: trace.to_bytes(), span_id: span.to_bytes() })
            .collect(),
        status: failed.then_some(Status { code: ERROR }),
    }
}

/// A method is told in the words that every tracing tool knows, all else in ours.
fn attributes((field, value): &(&'static str, Value)) -> Vec<KeyValue> {
    match value {
        Value::Text(method) if *field == "method" => {
            let (service, name) = method.split_once('/').unwrap_or((method, ""));
            let pairs = [("rpc.system", "grpc"), ("rpc.service", service), ("rpc.method", name)];
            pairs.into_iter().map(|(key, value)| text(key, value)).collect()
        }
        Value::Text(value) => vec![text(&format!("argospool.{field}"), value)],
        Value::Whole(number) => vec![pair(format!("argospool.{field}"), Any::Whole(*number))],
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key.to_owned(), Any::Text(value.to_owned()))
}

fn pair(key: String, value: Any) -> KeyValue {
    KeyValue { key, value: Some(AnyValue { value: Some(value) }) }
}

fn nanos(at: SystemTime) -> u64 {
    whole(at.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn whole(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
