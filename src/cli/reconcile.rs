//! `reconcile`: compares what ARGOS lists with what the daemon holds, and tells what came of it.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Failure, json,
    narrowing::{Moment, moment},
    proto::{ForeignBirth, ReconcileReport, ReconcileRequest, ReconcileResponse},
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
    /// With --including-ours: only those that tell an hour of birth all of which lies before this, a time
    /// (RFC 3339) or so long ago (12h); with --dry-run: tell how many these are
    #[arg(long, value_name = "TIME", value_parser = moment)]
    born_before: Option<Moment>,
    /// The name of the project, as a sign that you mean it
    #[arg(long, value_name = "PROJECT", default_value = "", hide_default_value = true)]
    confirm: String,
}

pub(super) async fn run(
    args: ReconcileArgs,
    remote: Remote,
    screen: &Screen,
) -> Result<(), Failure> {
    let born_before = args.born_before.map(|time| time.to_proto(screen.now));
    if born_before.is_some() && !args.including_ours && !args.dry_run && !args.report {
        let message =
            "--born-before needs --including-ours, or --dry-run to see how many there are";
        return Err(Failure::usage(message));
    }
    let lists = !args.report && !args.accept_loss && !args.delete_foreign;
    let read = ReconcileRequest {
        project: remote.project.clone(),
        read_only: true,
        ..ReconcileRequest::default()
    };
    let before = ask(&remote, read.clone()).await?;
    let done = set_going(&args, born_before, &before);
    let message = ReconcileRequest {
        read_only: args.report,
        dry_run: args.dry_run,
        delete_foreign: args.delete_foreign,
        including_ours: args.including_ours,
        accept_loss: args.accept_loss,
        // Whoever only looks is told of the report by us.
        born_before: born_before.filter(|_| args.delete_foreign),
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
    let table = || done + &render(&answer, born_before, screen);
    screen.answer(|| as_json(&answer), table)
}

/// What was set going, beside what the last listing told.
fn set_going(
    args: &ReconcileArgs,
    born_before: Option<prost_types::Timestamp>,
    before: &ReconcileResponse,
) -> String {
    let Some(report) = &before.last_report else { return String::new() };
    let mut done = String::new();
    if args.accept_loss {
        done += "what vanished is deleted\n";
    }
    if args.delete_foreign {
        done += &match born_before {
            Some(time) => {
                let Births { before, later, untold } = Births::of(report, time);
                format!(
                    "{} that look like ours and were born before are deleted; {} younger and {} that tell no hour stay\n",
                    words::counted(before as usize, "token"),
                    words::count(later),
                    words::count(untold)
                )
            }
            None => {
                let kept = if args.including_ours { 0 } else { report.foreign_like_ours_tokens };
                let number = report.foreign_tokens.saturating_sub(kept);
                let number = words::counted(number as usize, "token");
                match kept {
                    0 => format!("{number} of others are deleted\n"),
                    kept => format!(
                        "{number} of others are deleted; {} that look like ours stay\n",
                        words::count(kept)
                    ),
                }
            }
        };
    }
    if done.is_empty() { done } else { done + "the last listing told:\n" }
}

/// Foreign tokens that look like ours by when they were born: certainly before a time, perhaps later, or
/// nobody knows.
struct Births {
    before: u32,
    later: u32,
    untold: u32,
}

impl Births {
    fn of(report: &ReconcileReport, time: prost_types::Timestamp) -> Self {
        let is_before = |birth: &&ForeignBirth| {
            // All of the hour, as the daemon counts it.
            let ends = birth.hour_time.map(|hour| hour.seconds + 3_600);
            ends.is_some_and(|ends| ends <= time.seconds)
        };
        let told: u32 = report.foreign_births.iter().map(|birth| birth.tokens).sum();
        let before = report.foreign_births.iter().filter(is_before).map(|birth| birth.tokens).sum();
        let untold = report.foreign_like_ours_tokens.saturating_sub(told);
        Self { before, later: told - before, untold }
    }
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
            "foreign_births": json::each(&report.foreign_births, |birth| json!({
                "hour_time": json::time(birth.hour_time.as_ref()),
                "tokens": birth.tokens,
            })),
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

fn render(
    answer: &ReconcileResponse,
    born_before: Option<prost_types::Timestamp>,
    screen: &Screen,
) -> String {
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
            report.foreign_hints.join(", ")
        ));
    }
    lines.extend(births(report, born_before));
    if report.dry_run {
        lines.push("it was a dry run: nothing was changed".to_owned());
    } else if answer.running {
        lines.push("another listing follows; what is missing in both has vanished".to_owned());
    }
    lines.join("\n") + "\n"
}

/// The hours of birth that foreign tokens tell, and how many of them would go.
fn births(report: &ReconcileReport, before: Option<prost_types::Timestamp>) -> Vec<String> {
    let told = report.foreign_births.iter().map(|birth| {
        let hour = words::time_of(birth.hour_time.as_ref());
        let hour =
            hour.map_or_else(|| "?".to_owned(), |hour| hour.strftime("%F %H:00Z").to_string());
        format!("{hour} ({})", words::count(birth.tokens))
    });
    let told: Vec<_> = told.collect();
    let mut lines = Vec::new();
    if !told.is_empty() {
        lines.push(format!("by the hour of their birth: {}", told.join(", ")));
    }
    if let Some(time) = before {
        let Births { before, later, untold } = Births::of(report, time);
        lines.push(format!(
            "{} that look like ours were born before; {} younger, {} tell no hour",
            words::counted(before as usize, "token"),
            words::count(later),
            words::count(untold)
        ));
    }
    lines
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::plain_screen;

    fn shown(report: ReconcileReport, running: bool) -> String {
        render(&ReconcileResponse { running, last_report: Some(report) }, None, &plain_screen())
    }

    #[test]
    fn a_report_tells_what_is_missing_what_is_not_ours_and_what_to_do() {
        let report = ReconcileReport {
            reported_tokens: 4_003,
            held_tokens: 5_000,
            foreign_tokens: 3,
            foreign_like_ours_tokens: 1,
            foreign_hints: vec!["ap-Xy1… (1)".into(), "other-… (2)".into()],
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

    fn births() -> ReconcileReport {
        let birth = |hours: i64, tokens| ForeignBirth {
            hour_time: Some(prost_types::Timestamp { seconds: hours * 3_600, nanos: 0 }),
            tokens,
        };
        ReconcileReport {
            reported_tokens: 4_000,
            held_tokens: 500,
            foreign_tokens: 3_500,
            foreign_like_ours_tokens: 3_400,
            foreign_births: vec![birth(490_000, 2_000), birth(490_001, 1_000), birth(490_002, 300)],
            ..ReconcileReport::default()
        }
    }

    #[test]
    fn a_dry_run_tells_how_many_were_born_when_and_how_many_would_go() {
        let before = prost_types::Timestamp { seconds: 490_002 * 3_600, nanos: 0 };
        let answer = ReconcileResponse { running: false, last_report: Some(births()) };
        let told = render(&answer, Some(before), &plain_screen());
        let end = told.split_once("\n3,500 tokens").unwrap().1.split_once('\n').unwrap().1;
        assert_eq!(
            end,
            "by the hour of their birth: 2025-11-24 16:00Z (2,000), 2025-11-24 17:00Z (1,000), \
             2025-11-24 18:00Z (300)\n\
             3,000 tokens that look like ours were born before; 300 younger, 100 tell no hour\n"
        );
        // The whole hour must lie before.
        let Births { before, later, untold } = Births::of(
            &births(),
            prost_types::Timestamp { seconds: 490_002 * 3_600 - 1, nanos: 999_999_999 },
        );
        assert_eq!((before, later, untold), (2_000, 1_300, 100));
    }

    #[test]
    fn what_is_deleted_by_its_birth_is_told_with_what_stays() {
        let args = ReconcileArgs {
            dry_run: false,
            report: false,
            accept_loss: false,
            delete_foreign: true,
            including_ours: true,
            born_before: None,
            confirm: "default".to_owned(),
        };
        let answer = ReconcileResponse { running: false, last_report: Some(births()) };
        let time = prost_types::Timestamp { seconds: 490_001 * 3_600, nanos: 0 };
        assert_eq!(
            set_going(&args, Some(time), &answer),
            "2,000 tokens that look like ours and were born before are deleted; 1,300 younger and \
             100 that tell no hour stay\nthe last listing told:\n"
        );
        assert!(
            set_going(&args, None, &answer).starts_with("3,500 tokens of others are deleted\n")
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
