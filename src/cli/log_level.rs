//! `log-level`: what the daemon's log says, and for how long it says more.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{
    Failure, json,
    proto::{SetLogLevelRequest, SetLogLevelResponse},
    remote::Remote,
    screen::{Screen, Tone},
    words,
};

#[derive(Args)]
pub(super) struct LogLevelArgs {
    /// Levels, such as "debug" or "info,argospool::engine=trace"; without them the level is shown
    #[arg(value_name = "DIRECTIVES")]
    directives: Option<String>,
    /// When the log falls back to what is configured [default: 10m]
    #[arg(long = "for", value_name = "DURATION", requires = "directives",
        value_parser = humantime::parse_duration)]
    span: Option<Duration>,
    /// Fall back at once
    #[arg(long, conflicts_with = "directives")]
    reset: bool,
}

pub(super) async fn run(
    args: LogLevelArgs,
    remote: Remote,
    screen: &Screen,
) -> Result<(), Failure> {
    let message = SetLogLevelRequest {
        directives: args.directives.unwrap_or_default(),
        duration: args.span.map(words::to_proto),
        reset: args.reset,
    };
    let answer = remote.admin().set_log_level(remote.request(message)).await?.into_inner();
    screen.answer(
        || {
            json!({
                "directives": answer.directives,
                "configured": answer.configured,
                "falls_back_in": json::duration(answer.falls_back_in.as_ref()),
            })
        },
        || screen.paint(Tone::Plain, &told(&answer)) + "\n",
    )
}

fn told(answer: &SetLogLevelResponse) -> String {
    match words::duration_of(answer.falls_back_in.as_ref()) {
        Some(span) => format!(
            "{} for {}, then {} as configured",
            answer.directives,
            words::duration(span),
            answer.configured
        ),
        None => format!("{} as configured", answer.directives),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_tells_when_it_falls_back_and_to_what() {
        let mut answer = SetLogLevelResponse {
            directives: "debug".into(),
            configured: "info".into(),
            falls_back_in: Some(prost_types::Duration { seconds: 600, nanos: 0 }),
        };
        assert_eq!(told(&answer), "debug for 10m, then info as configured");
        answer = SetLogLevelResponse { falls_back_in: None, directives: "info".into(), ..answer };
        assert_eq!(told(&answer), "info as configured");
    }
}
