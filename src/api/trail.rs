//! What log and traces tell about one request: a line when it is answered, and a span that what is done for
//! it stands below.
//!
//! Said are the method, the answer and the time it took, and what the caller calls its request and its trace
//! (`x-request-id`, `traceparent`). Never the `request_id` of a lease, nor anything else of the request:
//! these belong to the caller's business, and may be about a person (P1).

use std::time::Duration;

use tonic::codegen::http::HeaderMap;
use tracing::{Level, Span, field, level_filters::LevelFilter, span::Entered};

use super::status;
use crate::telemetry::{Context, RequestId};

/// One request that somebody looks at.
pub(super) struct Trail {
    span: Span,
    method: String,
    reason: &'static str,
    request_id: Option<RequestId>,
    context: Context,
}

impl Trail {
    /// `None` while nobody listens.
    #[inline]
    pub(super) fn begin(method: impl FnOnce() -> String, headers: &HeaderMap) -> Option<Box<Self>> {
        // All that a call pays then: one load and a branch.
        if Level::DEBUG > LevelFilter::current() {
            return None;
        }
        Self::look(method(), headers)
    }

    #[cold]
    fn look(method: String, headers: &HeaderMap) -> Option<Box<Self>> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let context = Context::begin(text("traceparent"));
        // A trace that is not sampled costs no span, unless the log wants to know of its requests.
        if !context.sampled && !tracing::event_enabled!(Level::DEBUG) {
            return None;
        }
        let request_id = text("x-request-id").and_then(RequestId::parse);
        let span = tracing::debug_span!(
            parent: None,
            "request",
            method,
            request_id = request_id.map(field::display),
            trace_id = context.trace.map(field::display),
            parent_id = context.parent.map(field::display),
            sampled = context.sampled,
            code = field::Empty,
            reason = field::Empty,
        );
        Some(Box::new(Self { span, method, reason: status::NO_REASON, request_id, context }))
    }

    /// What is done until the guard is dropped is done for this request.
    pub(super) fn within(&self) -> Entered<'_> {
        self.span.enter()
    }

    /// Headers or trailers that say how it ended.
    pub(super) fn read(&mut self, headers: &HeaderMap) {
        self.reason = status::reason_of(headers);
    }

    /// It was answered, or its caller went away.
    pub(super) fn end(&self, code: &'static str, took: Duration) {
        self.span.record("code", code);
        self.span.record("reason", self.reason);
        tracing::debug!(
            parent: None,
            method = self.method,
            code,
            reason = self.reason,
            seconds = took.as_secs_f64(),
            request_id = self.request_id.map(field::display),
            trace_id = self.context.trace.map(field::display),
            "request answered"
        );
    }
}

#[cfg(test)]
mod tests {
    use tonic::{Status, codegen::http::HeaderValue};

    use super::*;
    use crate::api::stand::Page;

    const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const REQUEST_ID: &str = "f47ac10b-58cc-4372-a567-0e02b2c3d479";

    /// What is logged at debug of a request that brings these headers.
    fn logged(headers: &[(&'static str, &'static str)]) -> serde_json::Value {
        let page = Page::default();
        let writer = page.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_max_level(Level::DEBUG)
            .with_writer(move || writer.clone())
            .finish();
        let pairs = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        let headers = pairs.collect();
        tracing::subscriber::with_default(subscriber, || {
            let mut trail = Trail::begin(|| "a.Service/Method".to_owned(), &headers).unwrap();
            let answer = Status::unavailable("secret").into_http::<()>();
            trail.read(answer.headers());
            trail.end("Unavailable", Duration::from_millis(250));
        });
        serde_json::from_str(&page.text()).unwrap()
    }

    #[test]
    fn a_line_tells_what_was_asked_how_it_ended_and_what_its_caller_calls_it() {
        let line = logged(&[("traceparent", TRACEPARENT), ("x-request-id", REQUEST_ID)]);
        for (name, value) in [
            ("message", "request answered"),
            ("method", "a.Service/Method"),
            ("code", "Unavailable"),
            ("reason", "none"),
            ("request_id", REQUEST_ID),
            ("trace_id", &TRACEPARENT[3..35]),
        ] {
            assert_eq!(line[name], value, "{line}");
        }
        assert_eq!(line["seconds"], 0.25);
    }

    /// P1.
    #[test]
    fn a_line_repeats_nothing_else_of_a_request_or_its_answer() {
        let line =
            logged(&[("traceparent", "person"), ("x-request-id", "person"), ("a", "person")]);
        let text = line.to_string();
        assert!(!text.contains("person") && !text.contains("secret"), "{text}");
        assert!(line.get("request_id").is_none() && line.get("trace_id").is_none(), "{text}");
    }

    #[test]
    fn nobody_is_followed_while_nobody_listens() {
        let headers = [("traceparent".parse().unwrap(), HeaderValue::from_static(TRACEPARENT))];
        assert!(
            Trail::begin(|| "a.Service/Method".to_owned(), &headers.into_iter().collect())
                .is_none()
        );
    }
}
