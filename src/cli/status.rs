//! `status`: how the pools stand, for somebody who was woken by it.
//!
//! The strip answers three questions in one line per project: can it lease, for how long, and how
//! does ARGOS look. Below it stands only what somebody should know or do, and the details when there
//! is one project.

use std::{fmt::Write as _, time::Duration};

use clap::Args;

use super::{
    Environment, Failure, json,
    proto::{
        Activity, ArgosCondition, ArgosStatus, GetStatusRequest, GetStatusResponse, ProjectStatus,
        RefillPlan,
    },
    remote::{Remote, RemoteArgs},
    screen::{Output, Screen, Tone},
    words,
};

/// Moves to the first line and erases what was below it: what is on the screen is drawn over.
const ERASE: &str = "\x1b[H\x1b[J";

#[derive(Args)]
pub(super) struct StatusArgs {
    /// Show it again and again until interrupted, in JSON one line each
    #[arg(long, value_name = "EVERY", num_args = 0..=1, default_missing_value = "2s", value_parser = interval)]
    watch: Option<Duration>,
}

/// Reads how often something is asked for again.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(every) if every >= Duration::from_millis(100) => Ok(every),
        Ok(_) => Err("expected at least 100ms".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) async fn run(
    args: StatusArgs,
    remote: &RemoteArgs,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    let connected = remote.connect(environment).await?;
    match args.watch {
        None => {
            let status = ask(&connected).await?;
            screen.answer(|| json::status(&status), || render(&status, screen))
        }
        Some(every) => watch(every, connected, remote, environment, screen).await,
    }
}

async fn ask(remote: &Remote) -> Result<GetStatusResponse, Failure> {
    let message = GetStatusRequest { project: remote.project.clone() };
    Ok(remote.admin().get_status(remote.request(message)).await?.into_inner())
}

/// A daemon that is away for a while, as at a restart, is waited for.
async fn watch(
    every: Duration,
    mut connected: Remote,
    remote: &RemoteArgs,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // What "ago" counts from, and the width of the window, change meanwhile.
        let fresh = Screen::of_process(screen.output, environment);
        let asked = ask(&connected).await;
        if asked.is_err()
            && let Ok(again) = remote.connect(environment).await
        {
            connected = again;
        }
        let text = match (&asked, fresh.output) {
            (Ok(status), Output::Json) => format!("{}\n", json::status(status)),
            (Ok(status), Output::Table) => render(status, &fresh),
            (Err(_), Output::Json) => continue,
            (Err(failure), Output::Table) => failure.to_text(),
        };
        let erase = if fresh.terminal && fresh.output == Output::Table { ERASE } else { "" };
        if !screen.print_on(&format!("{erase}{text}"))? {
            return Ok(());
        }
    }
}

fn render(status: &GetStatusResponse, screen: &Screen) -> String {
    let mut head = format!("argospool {}", status.version);
    if let Some(start) = words::time_of(status.start_time.as_ref()) {
        let _ = write!(head, ", started {}", words::relative(start, screen.now));
    }
    let _ = write!(head, ", ledger {}", words::size(status.ledger_bytes));
    let mut text = screen.paint(Tone::Quiet, &head);
    match (status.draining, status.ready) {
        (true, _) => text.push_str(&screen.paint(Tone::Caution, ", stopping")),
        (false, false) => text.push_str(&screen.paint(Tone::Bad, ", not ready")),
        (false, true) => (),
    }
    text.push_str("\n\n");
    text.push_str(&projects(&status.projects, screen));
    text
}

/// The strip of these projects and what there is to say about them.
pub(super) fn projects(projects: &[ProjectStatus], screen: &Screen) -> String {
    let heading = ["PROJECT", "CAN LEASE", "LEASABLE", "EMPTY IN", "OUTAGE COVER", "ARGOS", "PLAN"];
    let mut text = screen.table(heading, projects.iter().map(strip));
    for project in projects {
        let notes = notes(project, screen);
        if !notes.is_empty() {
            let _ = write!(text, "\n{}\n{notes}", screen.paint(Tone::Plain, &project.project));
        }
    }
    if let [only] = projects {
        let _ = write!(text, "\n{}", details(only, screen));
    }
    text
}

fn strip(status: &ProjectStatus) -> [(Tone, String); 7] {
    let can_lease = match status.can_lease {
        true => (Tone::Good, "yes".to_owned()),
        false => (Tone::Bad, "NO".to_owned()),
    };
    let (leasable, target) = (status.leasable_tokens, status.target_tokens);
    let stock = if leasable == 0 {
        Tone::Bad
    } else if leasable < status.low_water_tokens {
        Tone::Caution
    } else {
        Tone::Plain
    };
    let lasting = |duration| words::duration_of(duration).map_or("-".to_owned(), words::duration);
    let condition = status.argos.as_ref().map_or(0, |argos| argos.condition);
    let plan = status.plan.as_ref().map_or("-".to_owned(), plan_in_short);
    [
        (Tone::Plain, status.project.clone()),
        can_lease,
        (stock, format!("{} of {}", words::count(leasable), words::count(target))),
        (Tone::Plain, lasting(status.time_to_empty.as_ref())),
        (Tone::Plain, lasting(status.outage_cover.as_ref())),
        (tone_of(condition), condition_word(condition)),
        (Tone::Plain, plan),
    ]
}

/// What a plan comes to, in a few words.
pub(super) fn plan_in_short(plan: &RefillPlan) -> String {
    match (plan.need_tokens, plan.order_tokens) {
        (0, 0) => "full".to_owned(),
        (0, order) => format!("{} on order", words::count(order)),
        (need, 0) => format!("{} short, resting", words::count(need)),
        (need, order) => {
            format!("{} short, {} on order", words::count(need), words::count(order))
        }
    }
}

/// What a person should know or do, one line each.
fn notes(status: &ProjectStatus, screen: &Screen) -> String {
    let mut text = String::new();
    for problem in &status.problems {
        let mut line = format!("{}: {}", problem.reason, problem.summary);
        if let Some(since) = words::time_of(problem.since_time.as_ref()) {
            let _ = write!(line, " (since {})", words::relative(since, screen.now));
        }
        let _ = writeln!(text, "  {}", screen.paint(Tone::Bad, &format!("! {line}")));
        if !problem.runbook.is_empty() {
            let _ = writeln!(text, "    {}", screen.paint(Tone::Plain, &problem.runbook));
        }
    }
    for pause in &status.pauses {
        let activity = words::word(pause.activity, Activity::as_str_name, "ACTIVITY_");
        let when = words::when(pause.pause_time.as_ref(), screen.now);
        let mut line = format!("{activity} paused by {}, {when}", pause.paused_by);
        if !pause.reason.is_empty() {
            let _ = write!(line, ": {}", pause.reason);
        }
        let _ = writeln!(text, "  {}", screen.paint(Tone::Caution, &line));
    }
    if let Some(plan) = status.plan.as_ref().filter(|plan| !plan.rest_reason.is_empty()) {
        let line = format!("refill rests: {}", plan.rest_reason);
        let _ = writeln!(text, "  {}", screen.paint(Tone::Caution, &line));
    }
    text
}

/// The numbers behind the strip.
fn details(status: &ProjectStatus, screen: &Screen) -> String {
    let counts = status.counts.unwrap_or_default();
    let number = words::count;
    let mut rows = vec![
        (
            "tokens",
            format!(
                "{} minted, {} ready, {} drawn, {} leased, {} doomed",
                number(counts.minted),
                number(counts.ready),
                number(counts.drawn),
                number(counts.leased),
                number(counts.doomed)
            ),
        ),
        (
            "at ARGOS",
            format!(
                "{} held, {} foreign, cap {} less {} in reserve",
                number(status.held_tokens),
                number(status.foreign_tokens),
                number(status.cap_tokens),
                number(status.reserve_tokens)
            ),
        ),
        (
            "callers",
            format!(
                "{} waiting; low water at {}",
                words::counted(status.waiting_callers as usize, "caller"),
                words::counted(status.low_water_tokens as usize, "token")
            ),
        ),
    ];
    if let Some(argos) = &status.argos {
        rows.extend(argos_rows(argos, screen));
    }
    if let Some(plan) = &status.plan {
        rows.push(("review", words::when(plan.next_review_time.as_ref(), screen.now)));
    }
    let mut text = String::new();
    for (name, row) in rows {
        let _ = writeln!(text, "{}  {row}", screen.paint(Tone::Quiet, &format!("{name:8}")));
    }
    text
}

fn argos_rows(argos: &ArgosStatus, screen: &Screen) -> Vec<(&'static str, String)> {
    let mut calls =
        format!("last success {}", words::when(argos.last_success_time.as_ref(), screen.now));
    if let Some(next) = words::time_of(argos.next_attempt_time.as_ref()) {
        let _ = write!(calls, ", next attempt {}", words::relative(next, screen.now));
    }
    let _ = write!(
        calls,
        ", {} in flight, {} left today",
        words::count(argos.calls_in_flight),
        words::count(argos.budget_remaining)
    );
    let mut rows = vec![("calls", calls)];
    if argos.simulated {
        rows.push(("answers", "come from the simulator".to_owned()));
    }
    if let Some(reported) = words::time_of(argos.reported_time.as_ref()) {
        let tokens = words::counted(argos.reported_tokens as usize, "token");
        rows.push(("reported", format!("{tokens}, {}", words::relative(reported, screen.now))));
    }
    if argos.doubtful_orders > 0 {
        let oldest = words::duration_of(argos.oldest_doubtful.as_ref()).unwrap_or_default();
        let orders = words::counted(argos.doubtful_orders as usize, "order");
        rows.push(("doubtful", format!("{orders}, the oldest for {}", words::duration(oldest))));
    }
    rows
}

pub(super) fn condition_word(condition: i32) -> String {
    words::word(condition, ArgosCondition::as_str_name, "ARGOS_CONDITION_")
}

pub(super) fn tone_of(condition: i32) -> Tone {
    match ArgosCondition::try_from(condition) {
        Ok(ArgosCondition::Up) => Tone::Good,
        Ok(ArgosCondition::Failing | ArgosCondition::Throttled) => Tone::Caution,
        Ok(
            ArgosCondition::Down
            | ArgosCondition::KeyRefused
            | ArgosCondition::AddressRefused
            | ArgosCondition::TransferRefused
            | ArgosCondition::CapReached,
        ) => Tone::Bad,
        Ok(ArgosCondition::Unspecified) | Err(_) => Tone::Plain,
    }
}

#[cfg(test)]
pub(crate) mod tests;
