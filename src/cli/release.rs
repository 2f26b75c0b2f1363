//! `release`: gives back a lease whose URL was never shown to anybody.

use clap::Args;
use serde_json::json;
use uuid::Uuid;

use super::{
    Failure, json,
    proto::ReleaseLeaseRequest,
    remote::Remote,
    screen::{Screen, Tone},
};

#[derive(Args)]
pub(super) struct ReleaseArgs {
    /// Id of the lease
    lease: String,
    /// UUID of the request, to ask again after a lost answer [default: a fresh one]
    #[arg(long, value_name = "UUID")]
    request_id: Option<Uuid>,
}

pub(super) async fn run(args: ReleaseArgs, remote: Remote, screen: &Screen) -> Result<(), Failure> {
    let request_id = args.request_id.unwrap_or_else(Uuid::new_v4);
    let message = ReleaseLeaseRequest {
        project: remote.project.clone(),
        lease_id: args.lease,
        request_id: request_id.to_string(),
    };
    let answer = remote.pool().release_lease(remote.request(message)).await.map_err(|status| {
        match Failure::from(status) {
            failure if failure.is_doubtful() => {
                failure.hint(format!("to learn how it went: --request-id {request_id}"))
            }
            failure => failure,
        }
    })?;
    let lease = answer.into_inner().lease.unwrap_or_default();
    screen.answer(
        || json!({ "lease": json::lease(&lease) }),
        || {
            let text = format!("released {}; its token is deleted, not reused", lease.lease_id);
            screen.paint(Tone::Plain, &text) + "\n"
        },
    )
}
