//! What happened. The pool is the fold of these, and so are the counters of the daemon.

use std::sync::Arc;

use crate::domain::{
    ids::{OrderId, Sequence},
    invariant::Breach,
    order::{Doubt, Order},
    pause::{Activity, Pause},
    time::Timestamp,
    token::{ClosedLease, Decision, Doom, Lease, Started, Token},
};

use super::{Count, KeyCheck};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Minted {
        order: Order,
        tokens: Vec<Token>,
    },
    OrderSettled {
        order: OrderId,
        ripe: Timestamp,
    },
    /// Nothing was registered; the order keeps its ids and waits.
    OrderRefused {
        order: OrderId,
        not_before: Timestamp,
    },
    OrderDoubted {
        order: OrderId,
        doubt: Doubt,
        not_before: Timestamp,
    },
    /// Given up whole: its tokens are doomed.
    OrderGivenUp {
        order: OrderId,
        doom: Doom,
    },
    /// Nothing of it is left to register, or nobody ever heard of it: its Minted ids are forgotten.
    OrderDropped {
        order: OrderId,
    },
    /// No late copy can arrive any more: its tokens are Ready.
    OrderReady {
        order: OrderId,
        at: Timestamp,
    },
    Leased {
        sequence: Sequence,
        lease: Arc<Lease>,
    },
    Started {
        sequence: Sequence,
        started: Started,
    },
    Closed {
        line: ClosedLease,
        doom: Doom,
    },
    /// ARGOS told something about a lease that had closed: the line stands in place of the older one.
    LateFact {
        line: ClosedLease,
        /// What ARGOS decided, where that is not what was known before.
        decided: Option<Decision>,
    },
    /// A Ready token is rotated out.
    Aged {
        sequence: Sequence,
        doom: Doom,
    },
    DeletionFailed {
        sequences: Vec<Sequence>,
        at: Timestamp,
    },
    Deleted {
        sequences: Vec<Sequence>,
    },
    Paused {
        activity: Activity,
        pause: Pause,
    },
    Resumed {
        activity: Activity,
    },
    Breached {
        breach: Breach,
    },
    /// A person looked at what halted hand-outs, and resumes.
    Cleared,
    Forgotten {
        before: Timestamp,
    },

    // Knowledge, which is learned again after a restart.
    Counted {
        count: Option<Count>,
    },
    CountWanted {
        at: Timestamp,
    },
    CapReached {
        until: Timestamp,
    },
    KeyChecked {
        check: KeyCheck,
    },
    ExtraOrdered {
        tokens: u32,
    },
}
