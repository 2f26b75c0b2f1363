//! `replace`: another URL for the same wish, and the first one killed. Prints the new URL (P1).

use std::time::Duration;

use clap::Args;
use serde_json::json;
use uuid::Uuid;

use super::{
    Environment, Failure, json, lease,
    proto::ReplaceLeaseRequest,
    remote::RemoteArgs,
    screen::{Output, Screen},
    words,
};

#[derive(Args)]
pub(super) struct ReplaceArgs {
    /// Id of the lease to replace
    lease: String,
    /// How long the new URL may stay unused, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    ttl: Option<Duration>,
    /// How long to wait for a token while the pool is empty; 0s: not at all
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
    /// UUID of the request, to ask again after a lost answer [default: a fresh one]
    #[arg(long, value_name = "UUID")]
    request_id: Option<Uuid>,
}

pub(super) async fn run(
    args: ReplaceArgs,
    remote: &RemoteArgs,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    let remote = remote.connect(environment).await?.allowing(args.wait.unwrap_or_default());
    let request_id = args.request_id.unwrap_or_else(Uuid::new_v4);
    let message = ReplaceLeaseRequest {
        project: remote.project.clone(),
        lease_id: args.lease,
        request_id: request_id.to_string(),
        ttl: args.ttl.map(words::to_proto),
        wait: args.wait.map(words::to_proto),
    };
    let answer = remote.pool().replace_lease(remote.request(message)).await.map_err(|status| {
        match Failure::from(status) {
            failure if failure.is_doubtful() => {
                failure.hint(format!("to get what it gave: --request-id {request_id}"))
            }
            failure => failure,
        }
    })?;
    let answer = answer.into_inner();
    let (next, replaced) = (answer.lease.unwrap_or_default(), answer.replaced.unwrap_or_default());
    let remark = format!("{} is replaced, and its link is killed\n", replaced.lease_id);
    if screen.output == Output::Json {
        let value = json!({ "lease": lease::with_url(&next), "replaced": json::lease(&replaced) });
        return screen.print(&format!("{value:#}\n"));
    }
    lease::show(std::slice::from_ref(&next), screen)?;
    screen.remark(&remark);
    Ok(())
}
