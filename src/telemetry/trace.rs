//! Traces: what a request and a call to ARGOS did and for how long, sent to a collector as OTLP over HTTP.
//!
//! The parts of the daemon make spans of `tracing` and know nothing of an export. Here a layer keeps those
//! that belong to a sampled trace ([`spans`]), and a thread of its own sends them ([`export`]). Nobody waits
//! for either: what finds no room in the queue, and what the collector does not take, is dropped and counted.
//!
//! **No text gets into a trace by itself (P1).** Events are not exported, and of the fields of a span only
//! those on a list are, each of which is a word of ours, a number, an id of a trace or a checked request id.
//!
//! Written by hand on the crates that are here anyway: the SDK and its exporter bring six more, take every
//! field of every span, read the environment, and do not tell what they dropped.

mod context;
mod export;
mod otlp;
mod spans;

use std::{sync::OnceLock, time::Duration};

use prometheus::{IntCounterVec, Opts};
use tracing::Subscriber;
use tracing_subscriber::{Layer as _, filter::Filtered, registry::LookupSpan};

use self::{
    context::Sampling,
    export::Collector,
    spans::{OwnSpans, Spans},
};
pub use self::{
    context::{Context, RequestId},
    export::{Flush, UnusableTraces},
};
use crate::domain::secret::Secret;

/// Where traces go, and how many.
pub struct TraceOptions {
    /// The base address of the collector; spans go to `/v1/traces` below it.
    pub endpoint: String,
    /// Headers of every request, as `name=value` behind commas, percent-encoded.
    pub headers: Option<Secret>,
    /// Reads them again, after the collector refused those in use; `None` where that cannot be. May block.
    pub headers_again: Box<dyn Fn() -> Option<Secret> + Send + Sync>,
    /// How long one request may take.
    pub timeout: Duration,
    /// Of the traces that begin here, 0 to 1. A caller's own trace is as that caller decided.
    pub sampling_ratio: f64,
    pub version: &'static str,
}

/// The export, to be set up with the log.
pub struct Traces(Spans);

/// How many of the traces that begin here are sampled; not set: none, and no ids are drawn.
static SAMPLING: OnceLock<Sampling> = OnceLock::new();

impl Traces {
    /// Starts the thread that sends. The second half is for the end of the process.
    pub fn start(options: TraceOptions) -> Result<(Self, Flush), UnusableTraces> {
        let sampling = Sampling::of(options.sampling_ratio);
        let collector = Collector::new(options)?;
        let (queue, flush) = export::start(collector)?;
        let _ = SAMPLING.set(sampling);
        Ok((Self(Spans::new(queue, sampling)), flush))
    }

    pub(super) fn into_layer<S>(self) -> Filtered<Spans, OwnSpans, S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        self.0.with_filter(OwnSpans)
    }
}

impl Context {
    /// The trace of a request that says so about itself, or a new one while traces are exported.
    pub fn begin(traceparent: Option<&str>) -> Self {
        Self::of(traceparent, SAMPLING.get().copied())
    }
}

/// What became of spans. One for the process, as the log is.
pub(super) fn spans_counted() -> IntCounterVec {
    static COUNTED: OnceLock<IntCounterVec> = OnceLock::new();
    let new = || {
        let about = "Spans of sampled traces, by whether the collector took them.";
        let counted =
            IntCounterVec::new(Opts::new("argospool_trace_spans_total", about), &["result"]);
        let counted = counted.expect("the name and the label are valid");
        for result in [export::SENT, export::DROPPED] {
            counted.with_label_values(&[result]);
        }
        counted
    };
    COUNTED.get_or_init(new).clone()
}
