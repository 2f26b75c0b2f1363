//! `explain`: why the pool stands as it does, where a lease stands, what a refusal means.

use clap::Args;

use super::{
    Failure, json,
    proto::{ExplainRequest, ExplainResponse},
    remote::Remote,
    screen::{Screen, Tone},
};

#[derive(Args)]
#[command(after_help = "\
Without arguments: why this target, why an order or none, what happens next, and what is not as it
should be. The same numbers stand in `argospool status` and in the metrics.")]
pub(super) struct ExplainArgs {
    /// Explain this lease: where it stands, how it came there, what happens next
    #[arg(long, value_name = "LEASE", conflicts_with = "reason")]
    lease: Option<String>,
    /// Explain a refusal by its reason, such as POOL_EMPTY, and what there is behind it at this moment
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
}

pub(super) async fn run(args: ExplainArgs, remote: Remote, screen: &Screen) -> Result<(), Failure> {
    let message = ExplainRequest {
        project: remote.project.clone(),
        lease_id: args.lease.unwrap_or_default(),
        // As a log line and a metric spell it, too.
        reason: args.reason.unwrap_or_default().to_ascii_uppercase(),
    };
    let answer = remote.admin().explain(remote.request(message)).await?.into_inner();
    screen.answer(|| json::explanation(&answer), || render(&answer, screen))
}

fn render(answer: &ExplainResponse, screen: &Screen) -> String {
    let lines = answer.lines.iter().map(|line| screen.paint(Tone::Plain, line) + "\n");
    lines.collect()
}
