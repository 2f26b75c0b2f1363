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
    let service = if args.lease { "argospool.v1.TokenPoolService" } else { "" };
    let message = HealthCheckRequest { service: service.to_owned() };
    let answer = remote.health().check(remote.request(message)).await?.into_inner();
    let (status, word) = match answer.status() {
        ServingStatus::Serving => (Ok(()), "serving"),
        ServingStatus::NotServing | ServingStatus::Unknown | ServingStatus::ServiceUnknown => {
            let failure =
                if args.lease { "a project cannot lease" } else { "the daemon is stopping" };
            (Err(Failure::new(Exit::Failed, failure)), "not serving")
        }
    };
    screen.answer(|| serde_json::json!({ "status": word }), || format!("{word}\n"))?;
    status
}
