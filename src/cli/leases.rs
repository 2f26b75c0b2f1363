//! Leases as people read them: one in full, many in a table. Neither shows the token or its URL (P1).

use std::fmt::Write as _;

use super::{
    proto::{Decision, Lease, LeaseEnding, LeaseState},
    screen::{Screen, Tone},
    words,
};

pub(super) fn table(leases: &[Lease], screen: &Screen) -> String {
    let heading = ["LEASE", "STATE", "DECISION", "OWNER", "CREATED", "EXPIRES", "LABELS"];
    screen.table(heading, leases.iter().map(|lease| row(lease, screen)))
}

fn row(lease: &Lease, screen: &Screen) -> [(Tone, String); 7] {
    let (tone, state) = state(lease);
    [
        (Tone::Plain, lease.lease_id.clone()),
        (tone, state),
        decision(lease),
        (Tone::Plain, words::or_dash(&lease.owner)),
        (Tone::Plain, words::when(lease.create_time.as_ref(), screen.now)),
        (Tone::Plain, words::when(lease.expire_time.as_ref(), screen.now)),
        (Tone::Plain, labels(lease)),
    ]
}

/// One lease in one line, as it goes by.
pub(super) fn line(lease: &Lease, screen: &Screen) -> String {
    let ((tone, state), (_, decision)) = (state(lease), decision(lease));
    let decided = if decision == "-" { String::new() } else { format!(", {decision}") };
    let owner = words::or_dash(&lease.owner);
    let text = format!("{}  {state}{decided}  {owner}  {}", lease.lease_id, labels(lease));
    screen.paint(tone, text.trim_end()) + "\n"
}

/// One lease, a line per fact that is there.
pub(super) fn card(lease: &Lease, screen: &Screen) -> String {
    let now = screen.now;
    let time = |name, time: Option<&prost_types::Timestamp>| {
        let time = words::time_of(time)?;
        let text = format!("{time:.0}  ({})", words::relative(time, now));
        Some((name, Tone::Plain, text))
    };
    let text = |name, text: &str| (!text.is_empty()).then(|| (name, Tone::Plain, text.to_owned()));
    let (tone, state) = state(lease);
    let (decision_tone, decision) = decision(lease);
    let presumed = "no caller asked for it: its token may have been shown unseen";
    let rows = [
        text("lease", &lease.lease_id),
        text("project", &lease.project),
        Some(("state", tone, state)),
        Some(("decision", decision_tone, decision)),
        lease.presumed.then(|| ("presumed", Tone::Caution, presumed.to_owned())),
        text("owner", &lease.owner),
        text("request", &lease.request_id),
        text("submission", &lease.submission_id),
        text("labels", &labels(lease)),
        time("created", lease.create_time.as_ref()),
        time("expires", lease.expire_time.as_ref()),
        time("first use", lease.first_use_time.as_ref()),
        time("closed", lease.close_time.as_ref()),
        time("decided", lease.decision_time.as_ref()),
        time("link dead", lease.link_dead_time.as_ref()),
        text("replaces", &lease.replaces_lease_id),
        text("replaced by", &lease.replaced_by_lease_id),
    ];
    let mut card = String::new();
    for (name, tone, text) in rows.into_iter().flatten() {
        let name = screen.paint(Tone::Quiet, &format!("{name:11}"));
        let _ = writeln!(card, "{name}  {}", screen.paint(tone, &text));
    }
    card
}

/// `issued`, `started`, or how it ended.
fn state(lease: &Lease) -> (Tone, String) {
    let state = words::word(lease.state, LeaseState::as_str_name, "LEASE_STATE_");
    match LeaseState::try_from(lease.state) {
        Ok(LeaseState::Closed) => {
            let ending = words::word(lease.ending, LeaseEnding::as_str_name, "LEASE_ENDING_");
            (Tone::Quiet, format!("{state}: {ending}"))
        }
        Ok(LeaseState::Started) => (Tone::Good, state),
        Ok(LeaseState::Issued | LeaseState::Unspecified) | Err(_) => (Tone::Plain, state),
    }
}

fn decision(lease: &Lease) -> (Tone, String) {
    let tone = match Decision::try_from(lease.decision) {
        Ok(Decision::Approved) => Tone::Good,
        Ok(Decision::Rejected) => Tone::Bad,
        Ok(Decision::Pending) => Tone::Caution,
        Ok(Decision::Unspecified) | Err(_) => Tone::Plain,
    };
    (tone, words::word(lease.decision, Decision::as_str_name, "DECISION_"))
}

/// In the order of their keys, so that two listings read alike.
fn labels(lease: &Lease) -> String {
    let mut pairs: Vec<_> =
        lease.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.sort_unstable();
    pairs.join(" ")
}

#[cfg(test)]
mod tests;
