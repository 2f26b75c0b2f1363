//! Why a pool stands as it does, in sentences for somebody who was woken by it.
//!
//! Everything is said of one look at the pool, and of nothing else, so that what is told here and what the
//! metrics say cannot disagree.

use std::time::Duration;

use super::{LeaseView, Status, Unanswered};
use crate::domain::{
    fault::Reason,
    refill::{Hindrance, Rest},
    time::Timestamp,
    token::{ClosedLease, Ending, Lease},
};

impl Status {
    /// Whether it can lease, for how long, why it aims at that stock, why it orders or rests, and what happens
    /// next. What is not as it should be stands in [`Status::problems`].
    pub fn explain(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(Unanswered { since, .. }) = self.unanswered {
            lines.push(format!(
                "The engine does not answer: but for leasing, everything is as it stood {} ago.",
                in_words(self.now.since(since))
            ));
        }
        lines.extend([self.leasing(), self.stock(), self.room(), self.plan_in_words()]);
        lines.extend(self.calls());
        lines.extend(self.webhooks());
        let again = self.next_review.map(|at| in_words(at.since(self.now)));
        lines.push(match again {
            Some(span) => format!(
                "Next: the pool is looked at again in {span} at the latest, or when somebody asks."
            ),
            None => "Next: the pool is looked at again when somebody asks.".to_owned(),
        });
        lines
    }

    fn leasing(&self) -> String {
        match (self.stopped, self.leasable) {
            (Some(reason), _) => format!("Leasing is refused: {}", meaning(reason)),
            (None, 0) => format!("Leasing is refused: {}", meaning(Reason::PoolEmpty)),
            (None, stock) => format!("Leasing works: {stock} tokens can be leased."),
        }
    }

    fn stock(&self) -> String {
        let lasts = match self.time_to_empty {
            Some(time) => format!(
                "At {} tokens a second, as in the last half minute, the stock lasts {}",
                rate(self.demand),
                in_words(time)
            ),
            None => "Nobody asked in the last half minute, so the stock lasts for ever".to_owned(),
        };
        let cover = match self.outage_cover {
            Some(cover) => format!(
                "if ARGOS were lost now it would last {} at {} a second, the higher of present and usual demand",
                in_words(cover),
                rate(self.demand.max(self.usual_demand))
            ),
            None => "if ARGOS were lost now, nobody would notice yet".to_owned(),
        };
        format!(
            "The target is {} tokens and the low water mark {}, as refill.target_tokens and refill.low_water_tokens \
             say. {lasts}; {cover}.",
            self.target, self.low_water
        )
    }

    fn room(&self) -> String {
        format!(
            "ARGOS holds {} tokens of ours and {} of others, of {} at most, of which {} are never used: \
             {} ready, {} minted and not yet ready, {} leased, {} to be deleted.",
            self.census.held(),
            self.foreign,
            self.cap,
            self.reserve,
            self.census.ready,
            self.census.minted,
            self.census.leased,
            self.census.doomed,
        )
    }

    fn plan_in_words(&self) -> String {
        let short = format!("The stock is {} tokens short of the target", self.plan.need);
        let ordered = self.plan.orders * self.plan.batch;
        match (ordered, self.plan.rest) {
            (0, Some(Rest::Enough)) => {
                "Nothing is ordered: the target is reached, counting what is on its way.".to_owned()
            }
            (0, Some(rest)) => format!("{short}, and nothing is ordered: {}.", why(rest)),
            (0, None) => format!("{short}."),
            (ordered, None) => format!("{short}, and {ordered} are ordered now."),
            (ordered, Some(rest)) => {
                format!("{short}, and {ordered} are ordered now; no more, because {}.", why(rest))
            }
        }
    }

    fn calls(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{} calls to ARGOS wait for an answer; {} of {} are left for today.",
            self.calls_in_flight, self.supplier.budget_remaining, self.supplier.budget
        )];
        if let Some(next) = self.supplier.next_attempt {
            lines.push(format!(
                "Calls to ARGOS are held back for {} yet.",
                in_words(next.since(self.now))
            ));
        }
        if let Some(since) = self.oldest_doubt {
            lines.push(format!(
                "{} orders are in doubt, the oldest for {}: they are repeated until ARGOS answers, under the \
                 same ids, so nothing is registered twice.",
                self.doubtful_orders,
                in_words(self.now.since(since))
            ));
        }
        lines
    }

    /// Nothing where none came yet: perhaps none are configured.
    fn webhooks(&self) -> Option<String> {
        let heard = self.webhook_heard?;
        let ago = in_words(self.now.since(heard));
        Some(format!("The last webhook about a lease of ours came {ago} ago."))
    }
}

/// Why nothing more is ordered, after "because".
fn why(rest: Rest) -> &'static str {
    match rest {
        Rest::Enough => "the target is reached, counting what is on its way",
        Rest::LessThanABatch => {
            "less than a full batch is missing and the stock is above the low water mark; a call costs the same \
             however many tokens it carries"
        }
        Rest::CallsInFlight => "as many orders as argos.calls_in_flight allows wait for an answer",
        Rest::AtCap => {
            "ARGOS has no room: what it holds of ours and of others reaches its cap less the reserve"
        }
        Rest::Hindered(Hindrance::Paused) => "refill is paused; resume it when the reason is gone",
        Rest::Hindered(Hindrance::Halted) => {
            "a promise was found broken; find the cause, then resume leasing"
        }
        Rest::Hindered(Hindrance::DiskSpace) => "the disk of the ledger is nearly full",
        Rest::Hindered(Hindrance::NotCounted) => "ARGOS has not yet said how many tokens it holds",
        Rest::Hindered(Hindrance::CapReached) => {
            "ARGOS said that it is full; it is asked again after a pause"
        }
        Rest::Hindered(Hindrance::Stopping) => "the daemon is stopping",
    }
}

/// What a refusal means and what ends it: a sentence or two for whoever was refused.
pub fn meaning(reason: Reason) -> &'static str {
    match reason {
        Reason::PoolEmpty => {
            "no token is ready, and the caller would not wait, or waited in vain. It ends when ARGOS has \
             registered more; the plan says what holds that back."
        }
        Reason::CapReached => {
            "the pool is empty and ARGOS has no room for more. It ends when tokens there are deleted: see \
             foreign tokens, and the targets of other daemons of the project."
        }
        Reason::MailboxFull => {
            "more callers at once than the engine takes in. It ends by itself within a second."
        }
        Reason::WaitingFull => {
            "the pool is empty and as many callers wait as lease.waiting_max_callers allows. It ends with the empty pool."
        }
        Reason::CallerQuota => {
            "the caller asked for more leases in a minute than its leases_per_minute; others are not touched."
        }
        Reason::InvalidRequest => {
            "the request can never succeed as written; the details name every field at fault."
        }
        Reason::RequestIdReused => {
            "the same request_id was used for another wish before. The caller needs a fresh id for a new wish."
        }
        Reason::ProjectNotFound => {
            "no configured project has that name, or there are several and none was named."
        }
        Reason::LeaseNotFound => {
            "no such lease, or it belongs to somebody else, or its line went with history."
        }
        Reason::LeaseStarted => {
            "somebody opened the link already, so it cannot be given back; revoke it."
        }
        Reason::LeaseClosed => "the lease has closed already, so nothing more can be done to it.",
        Reason::NotListed => {
            "nothing was listed yet that could be deleted; run `argospool reconcile --dry-run` first."
        }
        Reason::LeaseReplaced => {
            "the lease was replaced already; the answer names the one that took its place."
        }
        Reason::ResumeTooOld => {
            "what changed since that resume_token is not known any more; list anew, then watch."
        }
        Reason::Starting => {
            "the ledger is being opened. It ends within seconds, or the log says why not."
        }
        Reason::Draining => "the daemon is stopping; another one, or its successor, serves.",
        Reason::Paused => {
            "somebody paused leasing; `argospool status` says who and why, `argospool resume leasing` ends it."
        }
        Reason::ArgosDown => {
            "the pool is empty and ARGOS does not answer. Calls are tried again by themselves."
        }
        Reason::ArgosKeyRefused => {
            "the pool is empty and ARGOS refuses the API key. It ends when the right one is in the key file."
        }
        Reason::ArgosAddressRefused => {
            "the pool is empty and ARGOS refuses the address of this host. It ends when it is on the whitelist."
        }
        Reason::LedgerUnavailable => {
            "the ledger cannot write. Nothing was written, so repeating is safe; look at the disk and the log."
        }
        Reason::Halted => {
            "a promise was found broken, or ARGOS did not know our tokens, so hand-outs stopped. `argospool status` \
             says which, and `argospool resume leasing` ends it once the cause is found."
        }
        Reason::CommitDoubtful => {
            "nobody can say whether it was written. Repeating with the same request_id tells what happened."
        }
        Reason::IdentityMissing => {
            "callers are configured and the request said nothing of who asks."
        }
        Reason::IdentityUnknown => {
            "the bearer token or user of the socket is not among the configured callers."
        }
        Reason::NotAllowed => "the caller is known and may not do this, or not with this project.",
        Reason::Internal => "a mistake of ours; the log has it.",
    }
}

/// Where a lease stands, how it came there and what happens next.
pub fn explain_lease(view: &LeaseView, now: Timestamp) -> Vec<String> {
    match view {
        LeaseView::Open { lease, .. } => open(lease, now),
        LeaseView::Closed(line) => closed(line, now),
    }
}

fn open(lease: &Lease, now: Timestamp) -> Vec<String> {
    let mut lines =
        vec![format!("The lease is open, issued {} ago.", in_words(now.since(lease.issued)))];
    match &lease.started {
        None if lease.deadline > now => lines.push(format!(
            "ARGOS has told of no use yet. Next: without a sign of use it lapses in {}, and its token is deleted.",
            in_words(lease.deadline.since(now))
        )),
        None => lines.push(
            "ARGOS has told of no use, and the deadline has passed. Next: it lapses, and its token is deleted."
                .to_owned(),
        ),
        Some(_) => lines.push(format!(
            "Somebody opened the link. Next: ARGOS decides, or the lease expires in {}.",
            in_words(lease.ends().since(now))
        )),
    }
    if let Some(since) = lease.vanished {
        lines.push(format!("ARGOS has not listed its token for {}.", in_words(now.since(since))));
    }
    lines
}

fn closed(line: &ClosedLease, now: Timestamp) -> Vec<String> {
    let how = match line.ending {
        Ending::Decided => "ARGOS decided",
        Ending::Expired => "somebody had opened the link, and ARGOS told no decision in time",
        Ending::Lapsed => "the deadline passed without a sign of use",
        Ending::Released => "the caller gave it back unshown",
        Ending::Revoked => "it was revoked",
        Ending::Replaced => "another lease took its place",
    };
    let mut lines = vec![format!(
        "The lease closed {} ago, {} after it was issued: {how}.",
        in_words(now.since(line.closed)),
        in_words(line.closed.since(line.issued))
    )];
    if let Some(decided) = line.decided() {
        lines.push(format!("ARGOS decided: {}.", decided.decision.as_str()));
    }
    lines.push(match line.link_dead {
        Some(_) => "Its link is dead: ARGOS lets nobody in with its token any more.".to_owned(),
        None => "Its token waits for its deletion at ARGOS; until then the link may still open."
            .to_owned(),
    });
    lines
}

fn rate(per_second: f64) -> String {
    if per_second < 0.1 { "less than 0.1".to_owned() } else { format!("{per_second:.1}") }
}

/// Seconds per unit, longest first, with the letter that stands for it.
const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];

/// The two longest units of a span, such as `3m 20s`; milliseconds below one second.
pub fn in_words(span: Duration) -> String {
    let seconds = span.as_secs();
    let Some(first) = UNITS.iter().position(|(unit, _)| seconds >= *unit) else {
        return format!("{}ms", span.subsec_millis());
    };
    let (unit, letter) = UNITS[first];
    let mut text = format!("{}{letter}", seconds / unit);
    if let Some((smaller, letter)) = UNITS.get(first + 1)
        && seconds % unit >= *smaller
    {
        text.push_str(&format!(" {}{letter}", seconds % unit / smaller));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_meaning_that_ends_like_a_sentence() {
        for reason in Reason::ALL {
            let text = meaning(*reason);
            assert!(text.len() > 25 && text.ends_with('.'), "{reason:?}: {text}");
        }
    }

    #[test]
    fn a_span_shows_its_two_longest_units() {
        let shown = [0, 999, 1_000, 59_999, 200_000, 3_600_000, 3_659_000, 90_060_000]
            .map(|millis| in_words(Duration::from_millis(millis)));
        assert_eq!(shown, ["0ms", "999ms", "1s", "59s", "3m 20s", "1h", "1h", "1d 1h"]);
    }
}
