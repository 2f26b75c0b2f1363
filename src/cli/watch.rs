//! `watch`: every change of a lease as it happens, until interrupted. In JSON one object per line,
//! each with the token to resume from.

use clap::Args;
use serde_json::{Value, json};

use super::{
    Exit, Failure, json, leases,
    narrowing::{OriginArgs, StandingArgs},
    proto::{WatchLeasesRequest, WatchLeasesResponse, watch_leases_response::Event},
    remote::Remote,
    screen::{Output, Screen},
};

#[derive(Args)]
pub(super) struct WatchArgs {
    /// Continue where an earlier watch ended
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    resume: String,
    #[command(flatten)]
    standing: StandingArgs,
    #[command(flatten)]
    origin: OriginArgs,
}

pub(super) async fn run(args: WatchArgs, remote: Remote, screen: &Screen) -> Result<(), Failure> {
    let message = WatchLeasesRequest {
        project: remote.project.clone(),
        resume_token: args.resume.clone(),
        filter: Some(args.standing.narrow(args.origin.filter(screen.now))),
    };
    let mut resume = args.resume;
    let request = remote.stream(message);
    let mut messages = remote.pool().watch_leases(request).await?.into_inner();
    loop {
        let message = match messages.message().await {
            Ok(Some(message)) => message,
            Ok(None) => {
                let failure = Failure::new(Exit::Unreachable, "the daemon ended the stream");
                return Err(resumable(failure, &resume));
            }
            Err(status) => return Err(resumable(status.into(), &resume)),
        };
        resume.clone_from(&message.resume_token);
        if !tell(&message, screen)? {
            return Ok(());
        }
        if let Some(Event::Lagged(lagged)) = message.event {
            let failure = Failure::new(Exit::Refused, "this reader was too slow");
            return Err(resumable(failure.fact("reason", lagged.reason), &resume));
        }
    }
}

fn resumable(failure: Failure, token: &str) -> Failure {
    if token.is_empty() { failure } else { failure.hint(format!("to go on: --resume {token}")) }
}

/// False when nobody reads any more.
fn tell(message: &WatchLeasesResponse, screen: &Screen) -> Result<bool, Failure> {
    if screen.output == Output::Json {
        return screen.print_on(&format!("{}\n", to_json(message)));
    }
    match &message.event {
        Some(Event::Lease(lease)) => screen.print_on(&leases::line(lease, screen)),
        Some(Event::Synced(_)) => {
            screen.remark("up to date; what follows happens from here on\n");
            Ok(true)
        }
        Some(Event::Heartbeat(_) | Event::Lagged(_)) | None => Ok(true),
    }
}

fn to_json(message: &WatchLeasesResponse) -> Value {
    let (name, event) = match &message.event {
        Some(Event::Lease(lease)) => ("lease", json::lease(lease)),
        Some(Event::Synced(_)) => ("synced", json!({})),
        Some(Event::Heartbeat(_)) => ("heartbeat", json!({})),
        Some(Event::Lagged(lagged)) => ("lagged", json!({ "reason": lagged.reason })),
        None => ("event", Value::Null),
    };
    json!({ "resume_token": message.resume_token, name: event })
}
