//! What a measurement has come to, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{BenchArgs, load::Measured};
use crate::cli::screen::{Screen, Tone};

/// The parts of all leases whose latency is told.
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

const COLUMNS: [&str; 7] = ["LEASES", "LEASES/S", "P50", "P90", "P99", "P99.9", "MAX"];

pub(super) struct Report<'a> {
    pub args: &'a BenchArgs,
    pub measured: &'a Measured,
}

impl Report<'_> {
    pub(super) fn json(&self) -> Value {
        let Self { args, measured } = self;
        let latency: serde_json::Map<_, _> = self
            .latency()
            .map(|(name, millis)| (name.to_owned(), json!(millis)))
            .into_iter()
            .collect();
        json!({
            "connections": args.connections,
            "in_flight": args.in_flight,
            "rate": args.rate,
            "seconds": measured.span.as_secs_f64(),
            "leases": measured.leases(),
            "leases_per_second": measured.rate(),
            "latency_ms": latency,
            "failed": measured.failed,
        })
    }

    pub(super) fn text(&self, screen: &Screen) -> String {
        let Self { args, measured } = self;
        let pace = match args.rate {
            Some(rate) => format!("{rate} calls a second"),
            None => "as fast as they are answered".to_owned(),
        };
        let mut text = format!(
            "{} connections with {} callers each, {pace}, {:.1} s\n\n",
            args.connections,
            args.in_flight,
            measured.span.as_secs_f64(),
        );
        let [p50, p90, p99, p999, max] =
            self.latency().map(|(_, millis)| format!("{millis:.3} ms"));
        let (leases, rate) = (measured.leases().to_string(), format!("{:.0}", measured.rate()));
        let row = [leases, rate, p50, p90, p99, p999, max].map(|cell| (Tone::Plain, cell));
        text += &screen.table(COLUMNS, [row]);
        for (reason, count) in &measured.failed {
            let _ =
                writeln!(text, "{}", screen.paint(Tone::Bad, &format!("{count} failed: {reason}")));
        }
        text
    }

    /// In milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "ten minutes in microseconds fit")]
    fn latency(&self) -> [(&'static str, f64); QUANTILES.len()] {
        let of = |quantile| self.measured.latency.value_at_quantile(quantile) as f64 / 1_000.0;
        QUANTILES.map(|(name, quantile)| (name, of(quantile)))
    }
}
