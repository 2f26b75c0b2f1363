//! What each part of the view says: lines of words, each with its tone, no wider than they are. Colour is a second
//! channel: whatever it says stands in a word or a mark as well.

use std::time::Duration;

use super::{
    view::{Known, Moment, Shown},
    window::{Percentiles, Rates, Took},
};
use crate::cli::{
    proto::{Activity, ArgosCall, ArgosStatus, ProjectStatus},
    screen::{Tone, without_controls},
    status, words,
};

/// Some words in one tone.
pub(super) type Part = (Tone, String);
/// The parts of one line.
pub(super) type Row = Vec<Part>;

/// Where what a label names begins.
const LABEL: usize = 11;
/// Why a plan orders nothing when nothing is wanted.
const ENOUGH: &str = "enough";
/// What a call that came out well is called.
const SETTLED: &str = "settled";

fn labelled(label: &str, parts: impl IntoIterator<Item = Part>) -> Row {
    std::iter::once((Tone::Quiet, format!("{label:LABEL$}"))).chain(parts).collect()
}

fn plain(text: impl Into<String>) -> Part {
    (Tone::Plain, text.into())
}

/// What a person should know or do, the worst first, in as many lines as there are.
pub(super) fn alerts(
    known: &Known,
    shown: Option<&Shown<'_>>,
    now: Moment,
    width: usize,
) -> Vec<Row> {
    let mut rows = Vec::new();
    if let (Some(why), Some((at, _))) = (&known.missed, known.answer()) {
        let why = why.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let text = format!("NO ANSWER for {}, so what follows is old: {why}", since(now, at));
        rows.extend(folded("! ", &text, width, Tone::Bad));
    }
    let Some(shown) = shown else { return rows };
    for problem in &shown.status.problems {
        let mut text = format!("{}: {}", problem.reason, problem.summary);
        if let Some(since) = words::time_of(problem.since_time.as_ref()) {
            text.push_str(&format!(" (since {})", words::relative(since, now.wall)));
        }
        rows.extend(folded("! ", &text, width, Tone::Bad));
        if !problem.runbook.is_empty() {
            rows.extend(folded("  ", &problem.runbook, width, Tone::Plain));
        }
    }
    for pause in shown.status.pauses.iter().filter(|pause| !pause.reason.is_empty()) {
        let activity = words::word(pause.activity, Activity::as_str_name, "ACTIVITY_");
        let text = format!("{activity} is paused because: {}", pause.reason);
        rows.extend(folded("  ", &text, width, Tone::Caution));
    }
    if rows.is_empty() {
        rows.push(vec![(Tone::Good, "no open problems".to_owned())]);
    }
    rows
}

/// Can it lease; and what stands below the picture of the stock.
pub(super) fn stock(status: &ProjectStatus, now: Moment) -> Vec<Row> {
    let (leasable, low) = (status.leasable_tokens, status.low_water_tokens);
    let counts = status.counts.unwrap_or_default();
    let mut of =
        format!("{} of {} tokens", words::count(leasable), words::count(status.target_tokens));
    if counts.ready != leasable {
        of.push_str(&format!(", {} ready", words::count(counts.ready)));
    }
    let verdict = if !status.can_lease {
        (Tone::Bad, "NO, leasing is refused".to_owned())
    } else if leasable < low {
        (Tone::Caution, format!("yes, but LOW: less than {}", words::count(low)))
    } else {
        (Tone::Good, "yes".to_owned())
    };
    let lasting = |duration| words::duration_of(duration).map(words::duration);
    let lasts = match (leasable, lasting(status.time_to_empty.as_ref())) {
        (0, _) => "nothing can be leased at this moment".to_owned(),
        (_, None) => "for ever: nobody asked in the last 30s".to_owned(),
        (_, Some(time)) => {
            let cover = lasting(status.outage_cover.as_ref());
            let cover = cover.map(|time| format!("; {time} without ARGOS")).unwrap_or_default();
            format!("{time} at this demand{cover}")
        }
    };
    let held = format!(
        "{} held, {} foreign, of {}; {} minted, {} leased",
        words::count(status.held_tokens),
        words::count(status.foreign_tokens),
        words::count(status.cap_tokens),
        words::count(counts.minted),
        words::count(counts.leased)
    );
    vec![
        labelled("can lease", [verdict, plain(format!("; {of}"))]),
        labelled("lasts", [plain(lasts)]),
        labelled("plan", plan(status, now)),
        labelled("at ARGOS", [plain(held)]),
    ]
}

fn plan(status: &ProjectStatus, now: Moment) -> Vec<Part> {
    let Some(plan) = &status.plan else { return vec![plain("-")] };
    let mut parts = vec![plain(status::plan_in_short(plan))];
    // That there is enough was said.
    if !["", ENOUGH].contains(&plan.rest_reason.as_str()) {
        parts.push((Tone::Caution, format!("; rests: {}", plan.rest_reason.replace('_', " "))));
    }
    if let Some(next) = words::time_of(plan.next_review_time.as_ref()) {
        parts.push(plain(format!("; next look {}", words::relative(next, now.wall))));
    }
    parts
}

/// What callers ask for and what they get.
pub(super) fn demand(shown: &Shown<'_>, several: bool) -> Vec<Row> {
    let status = shown.status;
    let asked = format!(
        "{}/s now, usually {}/s; {} wait",
        rate(status.demand_tokens_per_second),
        rate(status.usual_demand_tokens_per_second),
        words::counted(status.waiting_callers as usize, "caller")
    );
    let whose = if several { ", all projects" } else { "" };
    let (leased, refused) = match &shown.rates {
        None => (vec![plain("not known yet")], vec![plain("not known yet")]),
        Some(rates) => {
            let leased = format!(
                "{}/s; CreateLease {}{whose}",
                rate(rates.created_per_second),
                percentiles(&shown.leasing)
            );
            (vec![plain(leased)], refusals(rates))
        }
    };
    vec![
        labelled("asked", [plain(asked)]),
        labelled("leased", leased),
        labelled("refused", refused),
    ]
}

fn refusals(rates: &Rates) -> Vec<Part> {
    if rates.refused_per_second.is_empty() {
        return vec![plain("none")];
    }
    let all: f64 = rates.refused_per_second.iter().map(|(_, rate)| rate).sum();
    let reasons = rates.refused_per_second.iter();
    let reasons: Vec<_> =
        reasons.map(|(reason, often)| format!("{reason} {}", rate(*often))).collect();
    vec![(Tone::Caution, format!("{}/s: {}", rate(all), reasons.join(", ")))]
}

/// How ARGOS looks from here, and what calls it takes.
pub(super) fn argos(argos: &ArgosStatus, rates: Option<&Rates>, now: Moment) -> Vec<Row> {
    let mut state = vec![
        (status::tone_of(argos.condition), status::condition_word(argos.condition)),
        plain(format!(
            "; {} in flight; last success {}",
            words::count(argos.calls_in_flight),
            words::when(argos.last_success_time.as_ref(), now.wall)
        )),
    ];
    if let Some(next) = words::time_of(argos.next_attempt_time.as_ref()) {
        let next = words::relative(next, now.wall);
        state.push((Tone::Caution, format!("; next try {next}")));
    }
    let (left, all) = (argos.budget_remaining, argos.budget_calls);
    let pace = rates.map_or("-".to_owned(), |rates| rate(rates.argos_calls_per_second));
    let scarce = if left < all / 10 { Tone::Caution } else { Tone::Plain };
    let all = if all > 0 { format!(" of {}", words::count(all)) } else { String::new() };
    let left = format!("{}{all} calls left today", words::count(left));
    let mut rows = vec![
        labelled("state", state),
        labelled("budget", [plain(format!("{pace} calls/s; ")), (scarce, left)]),
    ];
    if argos.doubtful_orders > 0 {
        let oldest = words::duration_of(argos.oldest_doubtful.as_ref()).unwrap_or_default();
        let orders = words::counted(argos.doubtful_orders as usize, "order");
        let doubt = format!("{orders}, the oldest for {}", words::duration(oldest));
        rows.push(labelled("in doubt", [(Tone::Caution, doubt)]));
    }
    rows
}

/// The last calls to ARGOS, the newest first.
pub(super) fn calls(calls: &[(Duration, &ArgosCall)], most: usize) -> Vec<Row> {
    if calls.is_empty() && most > 0 {
        return vec![labelled("calls", [plain("none yet")])];
    }
    let row = |(number, (age, call)): (usize, &(Duration, &ArgosCall))| {
        let took = words::duration_of(call.took.as_ref()).unwrap_or_default();
        let (tone, mark) =
            if call.result == SETTLED { (Tone::Good, ' ') } else { (Tone::Bad, '!') };
        let spaced = |word: &str| word.replace('_', " ");
        let parts = [
            plain(format!("{:>7} ago {:16} ", words::duration(*age), spaced(&call.operation))),
            (tone, format!("{mark}{:16}", spaced(&call.result))),
            plain(format!("{:>7}", latency(took))),
        ];
        labelled(if number == 0 { "calls" } else { "" }, parts)
    };
    calls.iter().take(most).enumerate().map(row).collect()
}

/// How long the ledger takes, and what is owed to ARGOS.
pub(super) fn ledger(shown: &Shown<'_>) -> Row {
    let sync = match &shown.rates {
        Some(rates) => percentiles(&rates.commits),
        None => "not known yet".to_owned(),
    };
    let doomed = shown.status.counts.unwrap_or_default().doomed;
    let owed = words::counted(doomed as usize, "token");
    labelled("sync", [plain(format!("{sync}; {owed} to be deleted"))])
}

/// Why the pool stands as it does.
pub(super) fn why(shown: &Shown<'_>, width: usize) -> Vec<Row> {
    shown.why.iter().flat_map(|line| folded("- ", line, width, Tone::Plain)).collect()
}

/// What keys and figures mean.
pub(super) fn help(width: usize) -> Vec<Row> {
    let lines = [
        ("Tab, arrows", "the next project, or the one before; ! marks those with open problems"),
        ("p", "freezes the view, so that it can be read; p again goes on"),
        ("q, Esc", "leaves, as Ctrl-C does"),
        ("", ""),
        ("stock", "each column is the lowest stock of 10 s; blank is empty, a dot is not known"),
        (
            "lasts",
            "at the demand of the last half minute; without ARGOS, at the higher of present and usual",
        ),
        ("asked", "tokens a second: in the last half minute, and usually"),
        (
            "p50, p99",
            "half, and 99 of 100, took no longer; of the last minute, waiting for a token included",
        ),
        ("refused", "by reason: `argospool explain --reason POOL_EMPTY` says what one means"),
        ("calls", "the last calls to ARGOS; ! marks those that did not settle"),
        ("sync", "until a group of changes is durable; answers wait for it"),
        ("to be deleted", "tokens that hold a slot at ARGOS until they are deleted there"),
    ];
    let line =
        |(label, text): &(&str, &str)| folded(&format!("{label:15}"), text, width, Tone::Plain);
    lines.iter().flat_map(line).collect()
}

/// Rows that begin with a label, in lines of a width: what does not fit goes on below where it began.
pub(super) fn fitted(rows: Vec<Row>, width: usize) -> Vec<Row> {
    rows.into_iter().flat_map(|row| fit(row, width)).collect()
}

fn fit(row: Row, width: usize) -> Vec<Row> {
    let wide = |row: &Row| row.iter().map(|(_, text)| text.chars().count()).sum::<usize>();
    if wide(&row) <= width {
        return vec![row];
    }
    let mut parts = row.into_iter();
    let mut lines: Vec<Row> = vec![parts.next().into_iter().collect()];
    for (tone, text) in parts {
        for word in text.split_inclusive(' ') {
            let line = lines.last_mut().expect("there is a line");
            let full = wide(line) + word.trim_end().chars().count() > width;
            if full && line.len() > 1 {
                lines.push(labelled("", [(tone, word.to_owned())]));
            } else {
                line.push((tone, word.to_owned()));
            }
        }
    }
    lines
}

/// A text in lines of a width, the first after a mark and the others below its text.
pub(super) fn folded(mark: &str, text: &str, width: usize, tone: Tone) -> Vec<Row> {
    let indent = mark.chars().count();
    let room = width.saturating_sub(indent).max(1);
    let mut lines = vec![String::new()];
    for word in clean(text).split_whitespace() {
        let last = lines.last_mut().expect("there is a line");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= room {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    let row = |(number, line): (usize, String)| {
        let before = if number == 0 { mark.to_owned() } else { " ".repeat(indent) };
        vec![(tone, before + &line)]
    };
    lines.into_iter().enumerate().map(row).collect()
}

/// What other people wrote, without what a terminal would obey.
pub(super) fn clean(text: &str) -> String {
    without_controls(text).replace('\n', " ")
}

/// What the rates are of: a minute, or as much of it as was seen.
pub(super) fn past(rates: Option<&Rates>) -> String {
    match rates.map(|rates| rates.seconds) {
        None => "so far".to_owned(),
        Some(seconds @ ..59.5) => format!("last {seconds:.0}s"),
        Some(_) => "last minute".to_owned(),
    }
}

pub(super) fn since(now: Moment, at: i64) -> String {
    let span = Duration::from_millis((now.at - at).unsigned_abs());
    words::duration(Duration::from_secs(span.as_secs().max(1)))
}

fn percentiles(told: &Percentiles) -> String {
    match (told.p50, told.p99) {
        (Some(p50), Some(p99)) => format!("p50 {}, p99 {}", took(p50), took(p99)),
        (_, None) | (None, _) => "p50 -, p99 -".to_owned(),
    }
}

fn took(took: Took) -> String {
    match took {
        Took::About(span) => latency(span),
        Took::MoreThan(span) => format!("> {}", latency(span)),
    }
}

/// Two or three digits of a duration.
fn latency(span: Duration) -> String {
    let millis = span.as_secs_f64() * 1_000.0;
    match millis {
        ..9.95 => format!("{millis:.1} ms"),
        ..999.5 => format!("{millis:.0} ms"),
        _ => format!("{:.1} s", millis / 1_000.0),
    }
}

/// Per second, with as many digits as say something.
fn rate(per_second: f64) -> String {
    match per_second {
        ..=0.0 => "0".to_owned(),
        ..0.01 => "<0.01".to_owned(),
        ..0.1 => format!("{per_second:.2}"),
        ..99.95 => format!("{per_second:.1}"),
        _ => format!("{per_second:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_and_rates_have_the_digits_that_say_something() {
        let shown = [300, 1_240, 84_400, 1_500_000].map(|it| latency(Duration::from_micros(it)));
        assert_eq!(shown, ["0.3 ms", "1.2 ms", "84 ms", "1.5 s"]);
        let shown = [0.0, 0.001, 0.05, 12.34, 512.3].map(rate);
        assert_eq!(shown, ["0", "<0.01", "0.05", "12.3", "512"]);
    }

    #[test]
    fn a_row_that_is_too_long_goes_on_below_its_text_in_its_tones() {
        let row = labelled("plan", [plain("one two "), (Tone::Caution, "three four".into())]);
        let told = fitted(vec![row], LABEL + 9);
        let lines: Vec<_> = told
            .iter()
            .map(|row| row.iter().map(|(_, it)| it.as_str()).collect::<String>())
            .collect();
        assert_eq!(lines, ["plan       one two ", "           three ", "           four"]);
        assert_eq!(told[1][1].0, Tone::Caution);
    }

    #[test]
    fn a_long_sentence_is_folded_below_its_own_beginning() {
        let rows = folded("! ", "one two three", 9, Tone::Bad);
        assert_eq!(
            rows,
            [[(Tone::Bad, "! one two".to_owned())], [(Tone::Bad, "  three".to_owned())]]
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_as_what_it_is() {
        assert_eq!(clean("a\x1b[2Jb\nc"), "a\u{fffd}[2Jb c");
    }
}
