//! Log lines, on standard error: constant sentences, values as fields.

use std::{io::IsTerminal as _, panic, thread};

use tracing_subscriber::EnvFilter;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text on a terminal, else JSON.
    Auto,
    Text,
    Json,
}

/// The configured directives cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("log level is not a list of directives such as \"info,argospool::engine=debug\"")]
pub struct InvalidFilter(#[source] tracing_subscriber::filter::ParseError);

/// What libraries may say, unless the configuration names them: below this level they print what
/// travels over their wires (P1), and the scheduler talks about its own affairs.
const LIBRARIES: &str = "tokio_cron_scheduler=warn,h2=info,hyper=info,hyper_util=info,\
                         reqwest=info,rustls=info,sled=info,tonic=info,tower=info";

/// Sets up logging for the process, of its panics too. `directives` are a level, or levels of single modules.
/// Does nothing if somebody has set it up before.
pub fn start_log(directives: &str, format: Format) -> Result<(), InvalidFilter> {
    let filter = filter(directives)?;
    let text = match format {
        Format::Text => true,
        Format::Json => false,
        Format::Auto => std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = if text {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).try_init()
    };
    log_panics();
    Ok(())
}

fn filter(directives: &str) -> Result<EnvFilter, InvalidFilter> {
    // The last directive about a module stands.
    EnvFilter::builder().parse(format!("{LIBRARIES},{directives}")).map_err(InvalidFilter)
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
        let filter = filter("debug").unwrap().to_string();
        assert!(filter.contains("h2=info") && filter.contains("debug"), "{filter}");
        assert!(filter.contains("tokio_cron_scheduler=warn"), "{filter}");
    }

    #[test]
    fn a_library_that_is_named_may_speak() {
        let filter = filter("info,h2=debug").unwrap().to_string();
        assert!(filter.contains("h2=debug") && !filter.contains("h2=info"), "{filter}");
    }

    #[test]
    fn what_is_no_directive_is_refused() {
        assert!(filter("argospool=loud").is_err());
    }
}
