//! What can be put into an engine.
//!
//! There are two lanes. Callers use a bounded one that says no when it is full. Results of calls,
//! webhooks, bells and the admin's orders have a lane of their own that they wait for, so that a flood
//! of callers never holds up what ARGOS said.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use crate::{
    domain::{
        fault::Reason,
        ids::{OrderId, Sequence, SubmissionId, TokenId},
        pool::{Command, Reply},
        submission::Report,
    },
    port::{Listing, Outcome, Registered, SubmissionsPage},
};

use super::{Engine, steps::Steps};

/// Why a request was not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    pub reason: Reason,
    /// For a person: what happened, and what to do.
    pub message: Arc<str>,
    /// When it is worth trying again.
    pub retry_after: Option<Duration>,
}

impl Rejection {
    pub fn new(reason: Reason, message: impl Into<Arc<str>>) -> Self {
        Self { reason, message: message.into(), retry_after: None }
    }

    #[must_use]
    pub fn retry_after(mut self, span: Duration) -> Self {
        self.retry_after = Some(span);
        self
    }

    /// Nothing was written.
    pub(super) fn unavailable() -> Self {
        Self::new(Reason::LedgerUnavailable, "the ledger cannot write at the moment")
            .retry_after(Duration::from_secs(1))
    }

    pub fn draining() -> Self {
        Self::new(Reason::Draining, "the daemon is stopping; ask another one")
            .retry_after(Duration::from_secs(1))
    }

    /// What changed since a position is not known any more.
    pub fn resume_too_old() -> Self {
        let message = "what changed since this resume_token is not known any more; list anew";
        Self::new(Reason::ResumeTooOld, message)
    }

    /// Nobody can say whether it was written.
    pub(super) fn in_doubt() -> Self {
        let message =
            "the commit is in doubt; repeat with the same request_id to learn what happened";
        Self::new(Reason::CommitDoubtful, message)
    }

    /// The engine is gone, or went while the answer was out: nobody can say what became of it.
    pub(super) fn lost() -> Self {
        Self::new(
            Reason::CommitDoubtful,
            "the answer was lost; repeat with the same request_id to learn what happened",
        )
    }
}

pub(super) type Answer = oneshot::Sender<Result<Reply, Rejection>>;

pub(super) type Inspection = Box<dyn FnOnce(&Engine) + Send>;

/// A caller's letter.
pub(super) struct Call {
    pub command: Command,
    /// Until when to wait for a token; `None`: not at all.
    pub until: Option<Instant>,
    pub answer: Answer,
    pub steps: Steps,
}

/// Everybody else's letter.
pub(super) enum Note {
    Registered {
        order: OrderId,
        outcome: Outcome<Registered>,
    },
    Deleted {
        sequences: Vec<Sequence>,
        outcome: Outcome<()>,
    },
    Counted {
        outcome: Outcome<u32>,
    },
    Found {
        sequence: Sequence,
        outcome: Outcome<bool>,
    },
    Listed {
        outcome: Outcome<Listing>,
    },
    ForeignDeleted {
        tokens: Vec<TokenId>,
        outcome: Outcome<()>,
    },
    Surveyed {
        outcome: Outcome<SubmissionsPage>,
    },
    Asked {
        submission: SubmissionId,
        outcome: Outcome<Option<Report>>,
    },
    Report {
        report: Report,
        answer: Answer,
    },
    Order {
        command: Command,
        answer: Answer,
    },
    /// Orders one token, to see how it fares.
    BeginTrial {
        answer: Answer,
    },
    /// The token of a trial is not wanted any more.
    EndTrial {
        sequence: Sequence,
        answer: Answer,
    },
    /// Looks at the committed state from inside, between two commits.
    Inspect(Inspection),
    Bell(Bell),
}

/// A reminder. It carries nothing: what is to be done stands in the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bell {
    /// Look again: refill, sweep, purge, and the free space.
    Floor,
    Count,
    Listing,
    Retention,
    Audit,
}
