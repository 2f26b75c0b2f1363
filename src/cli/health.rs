//! `health`: for probes that run a command. Asks the standard health service, which wants to know from nobody
//! who they are.

use clap::Args;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

use super::{Exit, Failure, remote::Remote, screen::Screen};

#[derive(Args)]
pub(super) struct HealthArgs {
    /// Also fail while a project cannot lease; a restart does not fill a pool, so this is for readiness
    /// that is meant that way
    #[arg(long)]
    lease: bool,
}

pub(super) async fn run(args: HealthArgs, remote: Remote, screen: &Screen) -> Result<(), Failure> {
    // The process itself, which has the empty name, is served from before the ledgers are open.
    let (service, otherwise) = match args.lease {
        true => ("argospool.v1.TokenPoolService", "a project cannot lease"),
        false => (
            "argospool.v1.AdminService",
            "the daemon starts or stops, or a project does not answer",
        ),
    };
    let message = HealthCheckRequest { service: service.to_owned() };
    let answer = remote.health().check(remote.request(message)).await?.into_inner();
    let serves = answer.status() == ServingStatus::Serving;
    let word = if serves { "serving" } else { "not serving" };
    screen.answer(|| serde_json::json!({ "status": word }), || format!("{word}\n"))?;
    if serves { Ok(()) } else { Err(Failure::new(Exit::Failed, otherwise)) }
}
