//! `reconcile`: compares what ARGOS lists with what the daemon holds, and tells what came of it.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Failure, json,
    proto::{ReconcileReport, ReconcileRequest, ReconcileResponse},
    remote::Remote,
    screen::{Screen, Tone},
    words,
};

/// A listing of the largest pool takes ten calls.
const LISTING_MAX: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

#[derive(Args)]
pub(super) struct ReconcileArgs {
    /// Look once and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Only show what the last listing told
    #[arg(long, conflicts_with_all = ["dry_run", "accept_loss", "delete_foreign"])]
    report: bool,
    /// Delete what vanished although it is more than the brake lets through
    #[arg(long, requires = "confirm", conflicts_with = "dry_run")]
    accept_loss: bool,
    /// Delete the foreign tokens that the last listing told of
    #[arg(long, requires = "confirm", conflicts_with = "dry_run")]
    delete_foreign: bool,
    /// With --delete-foreign: also those that look like ours, which another ledger may have in use
    #[arg(long, requires = "delete_foreign")]
    including_ours: bool,
    /// The name of the project, as a sign that you mean it
    #[arg(long, value_name = "PROJECT", default_value = "", hide_default_value = true)]
    confirm: String,
}

pub(super) async fn run(
    args: ReconcileArgs,
    remote: Remote,
    screen: &Screen,
) -> Result<(), Failure> {
    let lists = !args.report && !args.accept_loss && !args.delete_foreign;
    let read = ReconcileRequest {
        project: remote.project.clone(),
        read_only: true,
        ..ReconcileRequest::default()
    };
    let before = ask(&remote, read.clone()).await?;
    let message = ReconcileRequest {
        read_only: args.report,
        dry_run: args.dry_run,
        delete_foreign: args.delete_foreign,
        including_ours: args.including_ours,
        accept_loss: args.accept_loss,
        confirm: args.confirm,
        ..read.clone()
    };
    let mut answer = ask(&remote, message).await?;
    let deadline = Instant::now() + LISTING_MAX;
    while lists && time(&answer) == time(&before) {
        if Instant::now() >= deadline {
            return Err(Failure::failed("the listing has not ended; ask again with --report"));
        }
        // bounded: by the deadline above
        tokio::time::sleep(LOOK_AGAIN).await;
        answer = ask(&remote, read.clone()).await?;
    }
    screen.answer(|| as_json(&answer), || render(&answer, screen))
}

async fn ask(remote: &Remote, message: ReconcileRequest) -> Result<ReconcileResponse, Failure> {
    Ok(remote.admin().reconcile(remote.request(message)).await?.into_inner())
}

fn time(answer: &ReconcileResponse) -> Option<prost_types::Timestamp> {
    answer.last_report.as_ref().and_then(|report| report.report_time)
}

fn as_json(answer: &ReconcileResponse) -> Value {
    let report = answer.last_report.as_ref().map(|report| {
        json!({
            "reported_tokens": report.reported_tokens,
            "held_tokens": report.held_tokens,
            "foreign_tokens": report.foreign_tokens,
            "foreign_like_ours_tokens": report.foreign_like_ours_tokens,
            "foreign_hints": report.foreign_hints,
            "missing_tokens": report.missing_tokens,
            "vanished_ready_tokens": report.vanished_ready_tokens,
            "vanished_leased_tokens": report.vanished_leased_tokens,
            "braked": report.braked,
            "suspected_cause": report.suspected_cause,
            "void": report.void,
            "dry_run": report.dry_run,
            "report_time": json::time(report.report_time.as_ref()),
        })
    });
    json!({ "running": answer.running, "last_report": report })
}

fn render(answer: &ReconcileResponse, screen: &Screen) -> String {
    let Some(report) = &answer.last_report else {
        return "nothing was listed since the daemon started\n".to_owned();
    };
    let mut lines = Vec::new();
    if report.void {
        let text = "the listing repeated itself or cannot be read: nothing was judged";
        lines.push(screen.paint(Tone::Bad, text));
    }
    let tokens = |number: u32, what: &str| words::counted(number as usize, what);
    lines.push(format!(
        "ARGOS lists {}; {} are held here",
        tokens(report.reported_tokens, "token"),
        words::count(report.held_tokens)
    ));
    lines.extend(missing(report, screen));
    if report.foreign_tokens > 0 {
        lines.push(format!(
            "{} at ARGOS are not ours, {} of them look as if they were: {}",
            tokens(report.foreign_tokens, "token"),
            words::count(report.foreign_like_ours_tokens),
            hints(&report.foreign_hints)
        ));
    }
    if report.dry_run {
        lines.push("it was a dry run: nothing was changed".to_owned());
    } else if answer.running {
        lines.push("another listing follows; what is missing in both has vanished".to_owned());
    }
    lines.join("\n") + "\n"
}

fn missing(report: &ReconcileReport, screen: &Screen) -> Vec<String> {
    let mut lines = Vec::new();
    let cause = match report.suspected_cause.as_str() {
        "volume_deletion" => "; the oldest went, as ARGOS's volume-based deletion does it",
        "emptied" => "; nothing of ours is there: another project, or an emptied one",
        "deleted_elsewhere" => "; somebody else deleted here and there",
        _ => "",
    };
    if report.missing_tokens > 0 {
        let held = if report.dry_run { "" } else { " and held back until the next listing" };
        let number = words::counted(report.missing_tokens as usize, "token");
        lines.push(screen.paint(Tone::Caution, &format!("{number} of ours missing{held}{cause}")));
    }
    let vanished = report.vanished_ready_tokens + report.vanished_leased_tokens;
    if vanished > 0 {
        let number = words::counted(vanished as usize, "token");
        let leased = words::count(report.vanished_leased_tokens);
        let text = format!("{number} of ours vanished, {leased} of them leased{cause}");
        lines.push(screen.paint(Tone::Caution, &text));
    }
    if report.braked {
        let text = "too many to be deleted without you: find out why, then --accept-loss";
        lines.push(screen.paint(Tone::Bad, text));
    }
    lines
}

/// Each beginning once, with how often it was seen.
fn hints(hints: &[String]) -> String {
    let mut counted = std::collections::BTreeMap::new();
    for hint in hints {
        *counted.entry(hint.as_str()).or_insert(0_u32) += 1;
    }
    let shown = counted.iter().map(|(hint, number)| format!("{hint} ({number})"));
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::plain_screen;

    fn shown(report: ReconcileReport, running: bool) -> String {
        render(&ReconcileResponse { running, last_report: Some(report) }, &plain_screen())
    }

    #[test]
    fn a_report_tells_what_is_missing_what_is_not_ours_and_what_to_do() {
        let report = ReconcileReport {
            reported_tokens: 4_003,
            held_tokens: 5_000,
            foreign_tokens: 3,
            foreign_like_ours_tokens: 1,
            foreign_hints: vec!["ap-Xy1…".into(), "other-…".into(), "other-…".into()],
            vanished_ready_tokens: 998,
            vanished_leased_tokens: 2,
            braked: true,
            suspected_cause: "volume_deletion".into(),
            ..ReconcileReport::default()
        };
        assert_eq!(
            shown(report, false),
            "ARGOS lists 4,003 tokens; 5,000 are held here\n\
             1,000 tokens of ours vanished, 2 of them leased; the oldest went, as ARGOS's \
             volume-based deletion does it\n\
             too many to be deleted without you: find out why, then --accept-loss\n\
             3 tokens at ARGOS are not ours, 1 of them look as if they were: ap-Xy1… (1), other-… \
             (2)\n"
        );
    }

    #[test]
    fn a_first_listing_says_that_another_one_follows() {
        let report = ReconcileReport {
            reported_tokens: 9,
            held_tokens: 10,
            missing_tokens: 1,
            ..ReconcileReport::default()
        };
        assert_eq!(
            shown(report, true),
            "ARGOS lists 9 tokens; 10 are held here\n\
             1 token of ours missing and held back until the next listing\n\
             another listing follows; what is missing in both has vanished\n"
        );
    }
}
