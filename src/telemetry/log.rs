//! Log lines, on standard error: constant sentences, values as fields.

mod count;
mod level;

use std::{io::IsTerminal as _, panic, sync::Arc, thread};

use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt, layer::SubscriberExt as _, reload,
    util::SubscriberInitExt as _,
};

use self::count::Counted;
pub(super) use self::count::lines_counted;
pub use self::level::{LevelStand, LogLevel};
use super::trace::Traces;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text on a terminal, else JSON.
    Auto,
    Text,
    Json,
}

/// The directives cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidFilter {
    #[error("log level is not a list of directives such as \"info,argospool::engine=debug\"")]
    Directives(#[source] tracing_subscriber::filter::ParseError),
    #[error("must be levels, alone or as module=level behind commas")]
    Level,
    /// Below info they print what travels over their wires (P1).
    #[error("must name modules of argospool only; the configuration alone may let libraries speak")]
    Library,
}

/// What libraries may say, unless the configuration names them: the scheduler talks about its own affairs.
const LIBRARIES: &str = "tokio_cron_scheduler=warn";

/// Sets up logging for the process, of its panics too, and the spans that are exported. `directives` are a
/// level, or levels of single modules. Does nothing if somebody has set it up before.
pub fn start_log(
    directives: &str,
    format: Format,
    traces: Option<Traces>,
) -> Result<(), InvalidFilter> {
    let (filter, handle) = reload::Layer::new(filter(directives)?);
    let text = match format {
        Format::Text => true,
        Format::Json => false,
        Format::Auto => std::io::stderr().is_terminal(),
    };
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if text {
        lines.with_ansi(std::io::stderr().is_terminal()).boxed()
    } else {
        // The spans that a line was written in tell the request and its trace.
        lines.json().flatten_event(true).with_current_span(false).boxed()
    };
    let subscriber = tracing_subscriber::registry()
        .with(lines.and_then(Counted::new()).with_filter(filter))
        .with(traces.map(Traces::into_layer));
    if subscriber.try_init().is_ok() {
        let apply = move |filter| handle.reload(filter).is_ok();
        level::install(LogLevel::new(directives, Box::new(apply)));
    }
    log_panics();
    Ok(())
}

/// What the log of this process says, and how to change it.
pub fn log_level() -> Arc<LogLevel> {
    level::installed()
}

/// A bare level is ours: what libraries print below info may be what travels over their wires (P1).
fn filter(directives: &str) -> Result<EnvFilter, InvalidFilter> {
    // The last directive about a module stands.
    let mut said = vec![LIBRARIES.to_owned()];
    for directive in directives.split(',') {
        match directive {
            "debug" | "trace" => said.extend(["info".to_owned(), format!("argospool={directive}")]),
            directive => said.push(directive.to_owned()),
        }
    }
    EnvFilter::builder().parse(said.join(",")).map_err(InvalidFilter::Directives)
}

/// Tells of a panic by the place where it happened. What was said is told only when it is ours: a
/// library may put bytes of a file or a request into its panics (P1).
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let (file, line) = panic.location().map_or(("", 0), |at| (at.file(), at.line()));
        let text = panic.payload_as_str().filter(|_| file.starts_with("src/")).unwrap_or_default();
        let thread = thread::current();
        let thread = thread.name().unwrap_or_default();
        tracing::error!(file, line, thread, text, "panicked");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_stay_quiet_however_loud_we_are() {
        for level in ["debug", "trace"] {
            let filter = filter(level).unwrap().to_string();
            let directives: Vec<_> = filter.split(',').collect();
            assert!(directives.contains(&"info"), "{filter}");
            assert!(directives.contains(&format!("argospool={level}").as_str()), "{filter}");
            assert!(directives.contains(&"tokio_cron_scheduler=warn"), "{filter}");
        }
        let filter = filter("warn,argospool::engine=debug").unwrap().to_string();
        assert!(filter.contains("argospool::engine=debug") && filter.contains("warn"), "{filter}");
    }

    #[test]
    fn a_library_that_the_configuration_names_may_speak() {
        let filter = filter("info,h2=debug").unwrap().to_string();
        assert!(filter.contains("h2=debug"), "{filter}");
    }

    #[test]
    fn what_is_no_directive_is_refused() {
        assert!(filter("argospool=loud").is_err());
    }
}
