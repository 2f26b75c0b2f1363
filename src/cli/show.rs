//! `show`: one lease, open or closed, without its URL.

use clap::Args;
use serde_json::json;
use uuid::Uuid;

use super::{
    Failure, json, leases,
    proto::{GetLeaseRequest, get_lease_request::Key},
    remote::Remote,
    screen::Screen,
};

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct ShowArgs {
    /// Id of the lease
    lease: Option<String>,
    /// The request that created it
    #[arg(long, value_name = "UUID")]
    request_id: Option<Uuid>,
}

pub(super) async fn run(args: ShowArgs, remote: Remote, screen: &Screen) -> Result<(), Failure> {
    let by_request = args.request_id.map(|id| Key::RequestId(id.to_string()));
    let key = args.lease.map(Key::LeaseId).or(by_request);
    let message = GetLeaseRequest { project: remote.project.clone(), key };
    let answer = remote.pool().get_lease(remote.request(message)).await?.into_inner();
    let lease = answer.lease.unwrap_or_default();
    screen.answer(|| json!({ "lease": json::lease(&lease) }), || leases::card(&lease, screen))
}
