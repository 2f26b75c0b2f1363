//! From spans of `tracing` to spans of a trace.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime},
};

use tracing::{
    Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{
    Layer,
    layer::{self, Filter},
    registry::LookupSpan,
};

use super::{
    context::{Sampling, SpanId, TraceId},
    export::Queue,
};

/// The fields that leave. Each is a word or a number of ours, or an id that was checked (P1).
const FIELDS: [&str; 12] = [
    "method",
    "code",
    "reason",
    "request_id",
    "project",
    "purpose",
    "operation",
    "result",
    "attempt",
    "tokens",
    "trigger",
    "heard",
];
/// No word of ours is longer.
const TEXT_BYTES_MAX: usize = 96;

/// What a span says about itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Whole(i64),
}

/// A span that has ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finished {
    pub trace: TraceId,
    pub id: SpanId,
    pub parent: Option<SpanId>,
    /// As the code calls it.
    pub name: &'static str,
    pub began: SystemTime,
    pub took: Duration,
    pub fields: Vec<(&'static str, Value)>,
    /// Spans of other traces that this one is there for.
    pub links: Vec<(TraceId, SpanId)>,
}

/// A span that is under way, kept with it. One that is not sampled has none, nor have those below it.
struct Open {
    trace: TraceId,
    id: SpanId,
    parent: Option<SpanId>,
    began: (SystemTime, Instant),
    fields: Vec<(&'static str, Value)>,
    links: Vec<(TraceId, SpanId)>,
}

/// Lets our spans through and nothing else: libraries know what travels over their wires, and what a log
/// line says is for the log.
pub(in crate::telemetry) struct OwnSpans;

impl<S> Filter<S> for OwnSpans {
    fn enabled(&self, metadata: &Metadata<'_>, _: &layer::Context<'_, S>) -> bool {
        let target = metadata.target();
        metadata.is_span() && (target == "argospool" || target.starts_with("argospool::"))
    }

    /// Never *always*: what a question about a level leaves behind would be taken for the answer about
    /// the next span, if that were not asked about.
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_span() { Interest::sometimes() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }
}

pub(in crate::telemetry) struct Spans {
    queue: Queue,
    sampling: Sampling,
}

impl Spans {
    pub(super) fn new(queue: Queue, sampling: Sampling) -> Self {
        Self { queue, sampling }
    }
}

impl<S> Layer<S> for Spans
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: layer::Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let above = match attributes.parent() {
            Some(parent) => context.span(parent),
            None if attributes.is_contextual() => context.lookup_current(),
            None => None,
        };
        let mut said = Said::default();
        attributes.record(&mut said);
        let (trace, parent) = if let Some(above) = above {
            match above.extensions().get::<Open>() {
                Some(open) => (open.trace, Some(open.id)),
                None => return,
            }
        } else if let Some(sampled) = said.sampled {
            match said.trace {
                Some(trace) if sampled => (trace, said.parent),
                Some(_) | None => return,
            }
        } else {
            let trace = TraceId::draw();
            if !self.sampling.keeps(trace) {
                return;
            }
            (trace, None)
        };
        let began = (SystemTime::now(), Instant::now());
        let (fields, links) = (said.fields, Vec::new());
        span.extensions_mut().insert(Open {
            trace,
            id: SpanId::draw(),
            parent,
            began,
            fields,
            links,
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: layer::Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            let mut said = Said::default();
            values.record(&mut said);
            open.fields.append(&mut said.fields);
        }
    }

    fn on_follows_from(&self, id: &Id, other: &Id, context: layer::Context<'_, S>) {
        let Some((span, other)) = context.span(id).zip(context.span(other)) else { return };
        let link = other.extensions().get::<Open>().map(|open| (open.trace, open.id));
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            open.links.extend(link);
        }
    }

    fn on_close(&self, id: Id, context: layer::Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        let Open { trace, id, parent, began: (began, clock), fields, links } = open;
        let (name, took) = (span.name(), clock.elapsed());
        self.queue.push(Finished { trace, id, parent, name, began, took, fields, links });
    }
}

/// What was recorded, as far as it leaves.
#[derive(Default)]
struct Said {
    trace: Option<TraceId>,
    parent: Option<SpanId>,
    sampled: Option<bool>,
    fields: Vec<(&'static str, Value)>,
}

impl Said {
    fn add(&mut self, field: &Field, value: Value) {
        if FIELDS.contains(&field.name()) {
            self.fields.push((field.name(), value));
        }
    }
}

impl Visit for Said {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Whole(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::Whole(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "sampled" {
            self.sampled = Some(value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "trace_id" => self.trace = TraceId::parse(value),
            "parent_id" => self.parent = SpanId::parse(value),
            _ if value.len() <= TEXT_BYTES_MAX => self.add(field, Value::Text(value.to_owned())),
            _ => (),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if FIELDS.contains(&field.name()) || ["trace_id", "parent_id"].contains(&field.name()) {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::{super::export::Item, *};

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    /// What is exported of what `act` does.
    fn exported(ratio: f64, act: impl FnOnce()) -> Vec<Finished> {
        let (queue, mut items) = Queue::new(64);
        let spans = Spans::new(queue, Sampling::of(ratio)).with_filter(OwnSpans);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(spans), act);
        let next = |items: &mut mpsc::Receiver<Item>| match items.try_recv() {
            Ok(Item::Span(span)) => Some(*span),
            Ok(Item::Flush(_)) | Err(_) => None,
        };
        std::iter::from_fn(|| next(&mut items)).collect()
    }

    fn request(sampled: bool) -> tracing::Span {
        tracing::debug_span!(parent: None, "request", trace_id = TRACE, parent_id = SPAN, sampled)
    }

    #[test]
    fn a_request_and_what_is_below_it_are_one_trace() {
        let spans = exported(0.0, || {
            let request = request(true);
            let _within = request.enter();
            tracing::debug_span!("argos_call", operation = "count", tokens = 3_u32);
        });
        let [call, request] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!((request.name, request.trace.to_string().as_str()), ("request", TRACE));
        assert_eq!(request.parent.unwrap().to_string(), SPAN);
        assert_eq!((call.trace, call.parent), (request.trace, Some(request.id)));
        let said = [("operation", Value::Text("count".to_owned())), ("tokens", Value::Whole(3))];
        assert_eq!(call.fields, said);
    }

    #[test]
    fn what_is_not_sampled_is_not_exported_nor_anything_below_it() {
        let spans = exported(1.0, || {
            let request = request(false);
            let _within = request.enter();
            tracing::debug_span!("argos_call", operation = "count");
        });
        assert_eq!(spans, []);
        assert_eq!(exported(0.0, || drop(tracing::debug_span!(parent: None, "work"))), []);
    }

    #[test]
    fn what_begins_here_is_a_trace_of_its_own_and_tells_whom_it_is_for() {
        let spans = exported(1.0, || {
            let request = request(true);
            let _within = request.enter();
            let work = tracing::debug_span!(parent: None, "work", purpose = "refill");
            work.follows_from(&request);
        });
        let [work, request] = spans.as_slice() else { panic!("{spans:?}") };
        assert_ne!(work.trace, request.trace);
        assert_eq!(
            (work.parent, work.links.as_slice()),
            (None, &[(request.trace, request.id)][..])
        );
    }

    /// P1.
    #[test]
    fn a_field_that_nobody_listed_does_not_leave_nor_does_a_line_of_the_log() {
        let spans = exported(1.0, || {
            let span = tracing::debug_span!("work", url = "secret", result = tracing::field::Empty);
            let _within = span.enter();
            tracing::error!(token = "secret", "secret");
            span.record("result", "settled");
            span.record("result", "secret".repeat(50));
            tracing::debug_span!(target: "h2::codec", "frame", result = "secret");
        });
        assert_eq!(spans.len(), 1);
        assert!(!format!("{spans:?}").contains("secret"), "{spans:?}");
        assert_eq!(spans[0].fields, [("result", Value::Text("settled".to_owned()))]);
    }
}
