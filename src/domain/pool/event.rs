//! What happened. The pool is the fold of these, and so are the counters of the daemon.

use std::{collections::BTreeSet, sync::Arc};

use crate::domain::{
    ids::{OrderId, Sequence, SubmissionId, TokenId},
    invariant::Breach,
    order::{Doubt, Order},
    paging::{Cursor, Days},
    pause::{Activity, Pause},
    time::Timestamp,
    token::{ClosedLease, Decision, Doom, Lease, Token},
};

use super::{Answer, Conclusion, Count, KeyCheck, Likeness, ListingWanted, Unwanted};

/// What was told about an open lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The first sign of use.
    FirstUse,
    /// Its token is missing in ARGOS's list.
    Vanished,
    /// More of what was known.
    More,
}

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
        news: News,
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
    /// Somebody uses a token on its way out that was never leased: should the ledger come back older,
    /// it is not handed out either (L1).
    Shown {
        sequence: Sequence,
    },
    /// A Ready token is rotated out.
    Aged {
        sequence: Sequence,
        doom: Doom,
    },
    /// A Ready token is not there any more, as two listings agree.
    Vanished {
        sequence: Sequence,
        doom: Doom,
    },
    /// A Ready token is not wanted any more.
    Discarded {
        sequence: Sequence,
        doom: Doom,
    },
    DeletionFailed {
        sequences: Vec<Sequence>,
        at: Timestamp,
        /// Whether it may be for one of these tokens that it failed.
        blamed: bool,
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
    ListingWanted {
        at: Timestamp,
        wanted: ListingWanted,
    },
    /// The ids at ARGOS are listed, and these should be among them.
    ListingBegan {
        unseen: BTreeSet<Sequence>,
        at: Timestamp,
    },
    /// A page of them: ours, and those of others with how they look.
    Listed {
        seen: Vec<Sequence>,
        foreign: Vec<(TokenId, Likeness)>,
        unreadable: u32,
        next: Option<Cursor>,
    },
    ListingEnded {
        conclusion: Box<Conclusion>,
    },
    /// Something that vanished has become something else meanwhile.
    VanishedSettled {
        sequence: Sequence,
    },
    /// Ready tokens that may be missing are not handed out.
    HeldBack {
        sequences: Vec<Sequence>,
    },
    /// A person looked at what vanished.
    LossAccepted,
    /// An operator wants foreign ids gone.
    ForeignDoomed {
        which: Unwanted,
    },
    ForeignDeleted {
        tokens: Vec<TokenId>,
        done: bool,
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
