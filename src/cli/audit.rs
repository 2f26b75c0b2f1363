//! `audit`: has the daemon check its promises, or checks them in its ledger; fails when one is broken.

mod offline;

use clap::Args;

use super::{
    Environment, Failure,
    config::{self, LayerArgs},
    json,
    proto::{AuditRequest, AuditResponse},
    remote::RemoteArgs,
    screen::{Screen, Tone},
    words,
};

#[derive(Args)]
#[command(after_help = "\
With --offline no daemon is asked: the ledgers of the configured data directory are read here, and
what is left of them is told. A daemon that starts with a broken promise serves everything but new
leases, until `argospool resume leasing`.")]
pub(super) struct AuditArgs {
    /// Read the ledgers of a data directory that no daemon serves from
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    layers: LayerArgs,
}

pub(super) async fn run(
    args: AuditArgs,
    remote: &RemoteArgs,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    if args.offline {
        let settings = config::load(&args.layers.sources(environment), screen)?.settings;
        return offline::run(settings, screen).await;
    }
    if !args.layers.is_empty() {
        return Err(Failure::usage("--config and --set are for --offline: a daemon has its own"));
    }
    let remote = remote.connect(environment).await?;
    let message = AuditRequest { project: remote.project.clone() };
    let audit = remote.admin().audit(remote.request(message)).await?.into_inner();
    screen.answer(|| json::audit(&audit), || render(&audit, screen))?;
    verdict(&audit)
}

fn render(audit: &AuditResponse, screen: &Screen) -> String {
    let took = words::duration_of(audit.took.as_ref()).unwrap_or_default();
    let tokens = words::counted(audit.tokens_checked as usize, "token");
    let checked = format!("{tokens} checked in {}", words::duration(took));
    if audit.breaches.is_empty() {
        return screen.paint(Tone::Good, &format!("every promise holds: {checked}")) + "\n";
    }
    let row = |breach: &super::proto::Breach| {
        [(Tone::Bad, breach.promise.clone()), (Tone::Plain, breach.evidence.clone())]
    };
    let table = screen.table(["PROMISE", "EVIDENCE"], audit.breaches.iter().map(row));
    format!("{table}\n{}\n", screen.paint(Tone::Quiet, &checked))
}

fn verdict(audit: &AuditResponse) -> Result<(), Failure> {
    match audit.breaches.len() {
        0 => Ok(()),
        1 => Err(Failure::failed("1 promise is broken")),
        more => Err(Failure::failed(format!("{more} promises are broken"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Exit, proto::Breach, tests::plain_screen};

    fn audit(breaches: Vec<Breach>) -> AuditResponse {
        let took = Some(prost_types::Duration { seconds: 0, nanos: 12_000_000 });
        AuditResponse { breaches, tokens_checked: 5_013, took }
    }

    #[test]
    fn a_broken_promise_is_shown_with_its_evidence_and_fails_the_command() {
        let evidence = "token t-000017 has two leases".to_owned();
        let audit = audit(vec![Breach { promise: "L1".into(), evidence }]);
        assert_eq!(
            render(&audit, &plain_screen()),
            "PROMISE  EVIDENCE\nL1       token t-000017 has two leases\n\n5,013 tokens checked in 12ms\n"
        );
        assert_eq!(verdict(&audit).unwrap_err().exit(), Exit::Failed);
    }

    #[test]
    fn a_clean_audit_says_what_was_checked() {
        let audit = audit(Vec::new());
        assert_eq!(
            render(&audit, &plain_screen()),
            "every promise holds: 5,013 tokens checked in 12ms\n"
        );
        assert!(verdict(&audit).is_ok());
    }
}
