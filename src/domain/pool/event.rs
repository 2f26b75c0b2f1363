//! What happened. The pool is the fold of these, and so are the counters of the daemon.

use std::sync::Arc;

use crate::domain::{
    ids::{OrderId, Sequence, SubmissionId},
    invariant::Breach,
    order::{Doubt, Order},
    paging::{Cursor, Days},
    pause::{Activity, Pause},
    time::Timestamp,
    token::{ClosedLease, Decision, Doom, Lease, Token},
};

use super::{Answer, Count, KeyCheck};

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
    /// ARGOS told something about an open lease that leaves it open.
    Told {
        sequence: Sequence,
        lease: Arc<Lease>,
        /// It is the first sign of use.
        started: bool,
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
    /// A doomed token is deleted sooner, because somebody waits for its link to be dead, or later,
    /// because somebody is on the page.
    Rescheduled {
        sequence: Sequence,
        not_before: Timestamp,
        urgent: bool,
    },
    /// The link is dead for certain: the line, with the time, stands in place of the older one.
    LinkDead {
        line: ClosedLease,
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
    /// ARGOS is to be asked about a submission.
    Asked {
        submission: SubmissionId,
        at: Timestamp,
    },
    /// ARGOS was asked about a submission.
    Answered {
        submission: SubmissionId,
        answer: Answer,
        at: Timestamp,
    },
    /// The submissions of these days are looked through.
    SurveyBegan {
        days: Days,
        at: Timestamp,
    },
    /// A page of them was.
    Surveyed {
        next: Option<Cursor>,
    },
}
