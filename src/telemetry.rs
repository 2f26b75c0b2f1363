//! What the daemon tells about itself: metrics, log lines and traces.
//!
//! Counters of the pool are a fold over committed events, so a refused write never counts; gauges are
//! read from the engines when somebody asks, and say how old they are where an engine does not answer;
//! requests are counted when they are answered. No label ever holds a token, a lease, a URL, or a
//! word that somebody outside chose.

mod chronicle;
mod gauges;
mod log;
mod metrics;
#[cfg(target_os = "linux")]
mod process;
mod project;
mod skew;
mod tally;
mod trace;

pub use chronicle::{CallRecord, Chronicle, Sample};
pub use log::{Format, InvalidFilter, LevelStand, LogLevel, log_level, start_log};
pub use metrics::{MethodMetrics, Metrics};
pub use project::ProjectMetrics;
pub use tally::{Latencies, LeaseAnswers, ProjectTally};
pub use trace::{Context, Flush, RequestId, TraceOptions, Traces, UnusableTraces};
