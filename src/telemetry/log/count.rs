//! How many lines the log was given, by level: an error that nobody reads is still an error.

use std::sync::OnceLock;

use prometheus::{IntCounter, IntCounterVec, Opts};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{Layer, layer::Context};

const LEVELS: [(Level, &str); 5] = [
    (Level::ERROR, "error"),
    (Level::WARN, "warn"),
    (Level::INFO, "info"),
    (Level::DEBUG, "debug"),
    (Level::TRACE, "trace"),
];

/// One for the process, as the log is.
pub(in crate::telemetry) fn lines_counted() -> IntCounterVec {
    static COUNTED: OnceLock<IntCounterVec> = OnceLock::new();
    let new = || {
        let about = "Lines that were written to the log, by level.";
        let options = Opts::new("argospool_log_messages_total", about);
        let counted =
            IntCounterVec::new(options, &["level"]).expect("the name and the label are valid");
        for (_, name) in LEVELS {
            counted.with_label_values(&[name]);
        }
        counted
    };
    COUNTED.get_or_init(new).clone()
}

/// Stands behind the filter of the log, so that it hears what is written and nothing else.
pub(super) struct Counted([(Level, IntCounter); LEVELS.len()]);

impl Counted {
    pub(super) fn new() -> Self {
        let family = lines_counted();
        Self(LEVELS.map(|(level, name)| (level, family.with_label_values(&[name]))))
    }
}

impl<S: Subscriber> Layer<S> for Counted {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == level) {
            counter.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt as _};

    use super::*;

    #[test]
    fn a_line_counts_by_its_level_and_one_that_is_filtered_out_does_not() {
        let count = |name| lines_counted().with_label_values(&[name]).get();
        let log = Counted::new().with_filter(LevelFilter::INFO);
        let before = (count("error"), count("debug"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log), || {
            tracing::error!("one");
            tracing::error!("two");
            tracing::debug!("nobody hears it");
        });
        // Other tests log, too.
        assert!(count("error") >= before.0 + 2);
        assert_eq!(count("debug"), before.1);
    }
}
