//! What a person should know or do about a project: one sentence each, with the next step in it.

use super::{Status, Unanswered, in_words};
use crate::{
    domain::{fault::Reason, limits::COMMIT_TIMEOUT, pool::KeyCheck, time::Timestamp},
    port::Condition,
};

const DISK_FULL: &str = "ArgospoolDiskFull";

/// Where the pages for the person on call stand, in the repository.
const RUNBOOKS: &str = "deploy/runbooks";

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The reason of one of [`Problem::KINDS`].
    pub reason: &'static str,
    /// For a person: what is the matter, and what to do.
    pub summary: String,
    pub since: Option<Timestamp>,
    /// The alert whose page says more.
    page: &'static str,
}

impl Problem {
    /// Every kind there is: its reason, as the API spells it, and the alert that has the page about it.
    pub const KINDS: [(&'static str, &'static str); 21] = [
        (Reason::Starting.as_str(), "ArgospoolHandoutStopped"),
        (Reason::Draining.as_str(), "ArgospoolHandoutStopped"),
        (Reason::Halted.as_str(), "ArgospoolPromiseBroken"),
        ("KEY_MISMATCH", "ArgospoolKeyMismatch"),
        (Reason::LedgerUnavailable.as_str(), "ArgospoolHandoutStopped"),
        ("DISK_SPACE", DISK_FULL),
        (Reason::Paused.as_str(), "ArgospoolPaused"),
        (Reason::CapReached.as_str(), "ArgospoolCapReached"),
        ("ARGOS_FAILING", "ArgospoolArgosErrors"),
        (Reason::ArgosDown.as_str(), "ArgospoolArgosDown"),
        (Reason::ArgosKeyRefused.as_str(), "ArgospoolArgosRefusesUs"),
        (Reason::ArgosAddressRefused.as_str(), "ArgospoolArgosRefusesUs"),
        ("ARGOS_TRANSFER_REFUSED", "ArgospoolArgosRefusesUs"),
        ("ARGOS_THROTTLED", "ArgospoolArgosThrottled"),
        (Reason::PoolEmpty.as_str(), "ArgospoolStockRunningOut"),
        ("BUDGET_SPENT", "ArgospoolBudgetLow"),
        ("STUCK_TOKENS", "ArgospoolStuckTokens"),
        ("RECONCILE_BRAKE", "ArgospoolReconcileBrake"),
        ("TOKENS_HELD_BACK", "ArgospoolTokensHeldBack"),
        ("FOREIGN_TOKENS", "ArgospoolForeignTokens"),
        ("WEBHOOKS_SILENT", "ArgospoolWebhooksSilent"),
    ];

    /// `reason` is one of [`Problem::KINDS`].
    fn new(reason: &'static str, summary: String, since: Option<Timestamp>) -> Self {
        let page = Self::KINDS.iter().find(|(known, _)| *known == reason).map(|(_, page)| *page);
        debug_assert!(page.is_some(), "{reason} is no kind of problem");
        Self { reason, summary, since, page: page.unwrap_or("README") }
    }

    /// Of a project that cannot be looked at, for this reason.
    pub fn dark(reason: Reason) -> Self {
        let summary = if reason == Reason::Starting {
            "The ledger is being opened: wait, or read the log if this lasts."
        } else if reason == Reason::Draining {
            "The daemon is stopping: ask another one, or wait for its successor."
        } else {
            "The ledger does not answer: look at its disk, and at the log."
        };
        Self::new(reason.as_str(), summary.to_owned(), None)
    }

    /// The page for the person on call: a path in the repository, such as
    /// `deploy/runbooks/ArgospoolArgosDown.md`.
    pub fn runbook(&self) -> String {
        format!("{RUNBOOKS}/{}.md", self.page)
    }
}

impl Status {
    /// Everything that is not as it should be, the worst first; empty when all is well.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut tell = |reason: &'static str, summary: String, since: Option<Timestamp>| {
            problems.push(Problem::new(reason, summary, since));
        };
        for breach in &self.breaches {
            let then = if breach.promise.stops_hand_outs() {
                "hand-outs stopped: find the cause, then resume leasing"
            } else {
                "find the cause, then resume leasing to clear this"
            };
            tell(Reason::Halted.as_str(), format!("Promise {breach}; {then}."), None);
        }
        if self.key_check == KeyCheck::Failed {
            let summary = "ARGOS does not know tokens that this ledger registered: API key and pid \
                       belong to different projects; correct one of them, then resume leasing.";
            tell("KEY_MISMATCH", summary.to_owned(), None);
        }
        problems.extend(ledger(self));
        let mut tell = |reason: &'static str, summary: String, since: Option<Timestamp>| {
            problems.push(Problem::new(reason, summary, since));
        };
        for (activity, pause) in &self.pauses {
            let summary = format!(
                "{} is paused by {}: resume it when the reason is gone.",
                activity.as_str(),
                pause.by
            );
            tell(Reason::Paused.as_str(), summary, Some(pause.since));
        }
        if let Some((reason, summary)) = argos(self) {
            tell(reason, summary.to_owned(), self.supplier.last_success);
        }
        stock(self, &mut tell);
        problems
    }
}

fn ledger(status: &Status) -> Option<Problem> {
    let unavailable = |summary: String, since, page| {
        Some(Problem { reason: Reason::LedgerUnavailable.as_str(), summary, since, page })
    };
    if let Some(Unanswered { since, commit_stalled }) = status.unanswered {
        let (summary, page) = if commit_stalled >= COMMIT_TIMEOUT {
            let span = in_words(commit_stalled);
            let summary = format!(
                "The disk of the ledger has not answered a commit for {span}: look for what blocks it; the \
                 daemon goes on by itself when it answers."
            );
            (summary, "ArgospoolCommitStalled")
        } else if status.disk_low {
            let summary = "The ledger cannot be written, and its disk was nearly full: free some space; no \
                           restart is needed.";
            (summary.to_owned(), DISK_FULL)
        } else {
            let summary = "The ledger cannot be written or read: look at its disk, and at the log; no restart \
                           is needed.";
            (summary.to_owned(), "ArgospoolHandoutStopped")
        };
        let summary = format!("{summary} Everything else here is as the engine last told it.");
        return unavailable(summary, Some(since), page);
    }
    if status.stopped == Some(Reason::LedgerUnavailable) {
        let summary = "The disk of the ledger is full: free some space; no restart is needed.";
        return unavailable(summary.to_owned(), None, DISK_FULL);
    }
    if status.commits_fail {
        let summary = "The last write to the ledger failed: look at its disk, and at the log; it is tried again \
                       by itself.";
        return unavailable(summary.to_owned(), None, "ArgospoolCommitsFailed");
    }
    let summary = "The disk of the ledger is nearly full and nothing is ordered: free some space; \
                   hand-outs go on.";
    status.disk_low.then(|| Problem::new("DISK_SPACE", summary.to_owned(), None))
}

fn argos(status: &Status) -> Option<(&'static str, &'static str)> {
    match status.supplier.condition {
        Condition::Up | Condition::Failing if status.at_cap => Some((
            Reason::CapReached.as_str(),
            "ARGOS is full: delete foreign tokens there, or lower the target of other daemons.",
        )),
        Condition::Up => None,
        Condition::Failing => Some((
            "ARGOS_FAILING",
            "Calls to ARGOS fail: nothing to do yet, calls are repeated by themselves.",
        )),
        Condition::Down => Some((
            Reason::ArgosDown.as_str(),
            "ARGOS does not answer: check the network and ARGOS's status page; calls are tried \
             again by themselves.",
        )),
        Condition::KeyRefused => Some((
            Reason::ArgosKeyRefused.as_str(),
            "ARGOS refuses the API key: put the right one into the key file; it is read again by \
             itself.",
        )),
        Condition::AddressRefused => Some((
            Reason::ArgosAddressRefused.as_str(),
            "ARGOS refuses the address of this host: add it to the whitelist of the project.",
        )),
        Condition::TransferRefused => Some((
            "ARGOS_TRANSFER_REFUSED",
            "ARGOS cannot open what is sent to it: set transfer.seal_requests to what ARGOS's \
             dashboard says under Data Protection, and transfer.request_shape, or correct the API \
             key, which is read again by itself.",
        )),
        Condition::Throttled => Some((
            "ARGOS_THROTTLED",
            "ARGOS asks for fewer calls: lower calls_per_second if this lasts.",
        )),
    }
}

fn stock(status: &Status, tell: &mut impl FnMut(&'static str, String, Option<Timestamp>)) {
    if status.stopped.is_none() && status.leasable == 0 {
        let summary = "No token is ready: callers wait or are refused until ARGOS has registered \
                       more; see the plan for what holds it back.";
        tell(Reason::PoolEmpty.as_str(), summary.to_owned(), None);
    }
    if status.supplier.budget_remaining == 0 {
        let summary = "The calls of the day are used up: raise calls_per_day, or wait for \
                       midnight UTC.";
        tell("BUDGET_SPENT", summary.to_owned(), None);
    } else if status.supplier.budget_for_orders == 0 {
        let summary = format!(
            "Nothing is registered: the {} calls that are left of the day are kept for deletions and questions, \
             fewer as the day passes: raise calls_per_day.",
            status.supplier.budget_remaining
        );
        tell("BUDGET_SPENT", summary, None);
    }
    if status.stuck > 0 {
        let summary = format!(
            "{} tokens could not be deleted at ARGOS: they hold slots; read the log for the answers.",
            status.stuck
        );
        tell("STUCK_TOKENS", summary, None);
    }
    if status.braked > 0 {
        let summary = format!(
            "{} tokens vanished at ARGOS, more than is deleted without a person: find out who \
             deleted them (argospool reconcile --report), then accept the loss.",
            status.braked
        );
        tell("RECONCILE_BRAKE", summary, status.reconciliation.as_ref().map(|report| report.at));
    } else if status.census.held_back > 0 {
        let summary = format!(
            "{} ready tokens are held back because ARGOS may have lost them: nothing to do, the \
             next listing tells.",
            status.census.held_back
        );
        tell("TOKENS_HELD_BACK", summary, None);
    }
    if status.foreign > 0 {
        let summary = format!(
            "ARGOS counts {} tokens that are not of this ledger: somebody else fills the project \
             (argospool reconcile --dry-run shows how they begin); they are deleted on your word alone.",
            status.foreign
        );
        tell("FOREIGN_TOKENS", summary, status.count.map(|count| count.at));
    }
    if status.webhooks_silent {
        let summary = "ARGOS decides, as we learn by asking, and for a quarter of an hour no webhook came: see \
                       in ARGOS's dashboard that the webhook's URL is ours with the secret of today, and what \
                       in front of us may answer for us.";
        tell("WEBHOOKS_SILENT", summary.to_owned(), status.webhook_heard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_problem_has_a_page_that_is_there() {
        for (reason, _) in Problem::KINDS {
            let page = Problem::new(reason, String::new(), None).runbook();
            let path = format!("{}/{page}", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(text.contains("## What to do"), "{reason}: {page} is no page");
        }
    }
}
