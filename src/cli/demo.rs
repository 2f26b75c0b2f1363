//! `demo`: simulator and daemon in a temporary directory, and one token through its whole life.

use clap::Args;

use super::Failure;

#[derive(Args)]
pub struct DemoArgs {
    /// End after the walk instead of staying up
    #[arg(long)]
    pub exit: bool,
}

pub(super) async fn run(_args: DemoArgs) -> Result<(), Failure> {
    Err(Failure::failed("demo is not wired"))
}
