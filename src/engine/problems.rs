//! What a person should know or do about a project: one sentence each, with the next step in it.

use super::Status;
use crate::{
    domain::{fault::Reason, pool::KeyCheck, time::Timestamp},
    port::Condition,
};

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// One of [`Problem::REASONS`].
    pub reason: &'static str,
    /// For a person: what is the matter, and what to do.
    pub summary: String,
    pub since: Option<Timestamp>,
}

impl Problem {
    /// Every reason there is, as the API spells them.
    pub const REASONS: [&'static str; 20] = [
        Reason::Starting.as_str(),
        Reason::Draining.as_str(),
        Reason::Halted.as_str(),
        "KEY_MISMATCH",
        Reason::LedgerUnavailable.as_str(),
        "DISK_SPACE",
        Reason::Paused.as_str(),
        Reason::CapReached.as_str(),
        "ARGOS_FAILING",
        Reason::ArgosDown.as_str(),
        Reason::ArgosKeyRefused.as_str(),
        Reason::ArgosAddressRefused.as_str(),
        "ARGOS_TRANSFER_REFUSED",
        "ARGOS_THROTTLED",
        Reason::PoolEmpty.as_str(),
        "BUDGET_SPENT",
        "STUCK_TOKENS",
        "RECONCILE_BRAKE",
        "TOKENS_HELD_BACK",
        "FOREIGN_TOKENS",
    ];

    /// Of a project that cannot be looked at, for this reason.
    pub fn dark(reason: Reason) -> Self {
        let summary = if reason == Reason::Starting {
            "The ledger is being opened: wait, or read the log if this lasts."
        } else if reason == Reason::Draining {
            "The daemon is stopping: ask another one, or wait for its successor."
        } else {
            "The ledger does not answer: look at its disk, and at the log."
        };
        Self { reason: reason.as_str(), summary: summary.to_owned(), since: None }
    }
}

impl Status {
    /// Everything that is not as it should be, the worst first; empty when all is well.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut tell = |reason: &'static str, summary: String, since: Option<Timestamp>| {
            debug_assert!(Problem::REASONS.contains(&reason), "{reason}");
            problems.push(Problem { reason, summary, since });
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
        if self.stopped == Some(Reason::LedgerUnavailable) {
            let summary = "The disk of the ledger is full: free some space; no restart is needed.";
            tell(Reason::LedgerUnavailable.as_str(), summary.to_owned(), None);
        } else if self.disk_low {
            let summary = "The disk of the ledger is nearly full and nothing is ordered: free some \
                       space; hand-outs go on.";
            tell("DISK_SPACE", summary.to_owned(), None);
        }
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
}
