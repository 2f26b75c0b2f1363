//! Everything that can ever change a pool, and every answer to it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::domain::{
    fault::Reason,
    ids::{OrderId, Owner, Sequence, SubmissionId, TokenId},
    invariant::Breach,
    liveform::Draft,
    order::Attempt,
    paging::Cursor,
    pause::Activity,
    refill::{Hindrance, Rest},
    seal::Salt,
    submission::Fact,
    token::{ClosedLease, Grant, Lease, Request},
};

use super::{ListingWanted, Unwanted};

/// What somebody wants of the pool, or what came to be known. Closed on purpose.
#[derive(Clone, Debug)]
pub enum Command {
    /// Leases, all or none.
    Lease {
        wanted: Vec<Wanted>,
    },
    /// The holder gives a lease back that was never shown. `owner` is `None` for an admin.
    Release {
        sequence: Sequence,
        owner: Option<Owner>,
        request: Option<Request>,
    },
    /// The link is to be dead as soon as possible. `owner` is `None` for an admin.
    Revoke {
        sequence: Sequence,
        owner: Option<Owner>,
        request: Option<Request>,
    },
    /// The same for many, on an admin's word; those that have closed meanwhile stay as they are.
    RevokeAll {
        sequences: Vec<Sequence>,
    },
    /// The link of a lease that has closed is to be dead as soon as possible.
    Hasten {
        sequence: Sequence,
    },
    /// Another token for the same wish, and the first one revoked, in one step.
    Replace {
        sequence: Sequence,
        owner: Option<Owner>,
        request: Option<Request>,
        replacement: Replacement,
    },
    /// ARGOS told something about a token. `line` is the token's line of history, where it has one.
    Fact {
        sequence: Sequence,
        fact: Fact,
        line: Option<Arc<ClosedLease>>,
    },
    /// Draws and writes down one order; a salt for each of its tokens.
    Mint {
        salts: Vec<Salt>,
    },
    /// Draws and writes down one order of one token, to see how it fares. `hindrance` is what the shell
    /// knows against ordering.
    Trial {
        salt: Salt,
        hindrance: Option<Hindrance>,
    },
    /// Makes the tokens of one order Ready if no late copy can arrive; a sweep does it for every order.
    Ripen {
        order: OrderId,
    },
    /// A token that is still Ready is not wanted any more.
    Discard {
        sequence: Sequence,
    },
    /// The ledger will not be there after this stop: dooms what is Ready, and gives up the orders of which
    /// no call is out.
    Clear {
        sent: BTreeSet<OrderId>,
    },
    /// An attempt to register an order came to its end.
    Attempted {
        order: OrderId,
        attempt: Attempt,
    },
    /// Gives up orders of which no attempt is under way.
    Withdraw {
        orders: Vec<OrderId>,
    },
    /// A deletion came to its end; `done` only if every id of it is gone for certain. `lines`: the
    /// lines of history of those whose end somebody waits for.
    Deleted {
        sequences: Vec<Sequence>,
        done: bool,
        lines: Vec<ClosedLease>,
    },
    /// A deletion failed while ARGOS answers no call at all, which tells nothing of these tokens.
    DeletionLost {
        sequences: Vec<Sequence>,
    },
    /// A page of the listing came; `next` is where the next one begins.
    Listed {
        tokens: Vec<TokenId>,
        unreadable: u32,
        next: Option<Cursor>,
    },
    /// Asks for a listing of all ids at ARGOS.
    WantListing {
        wanted: ListingWanted,
    },
    /// A person looked at what vanished: it may be doomed.
    AcceptLoss,
    /// Deletes the foreign ids of the last listing.
    DoomForeign {
        which: Unwanted,
    },
    ForeignDeleted {
        tokens: Vec<TokenId>,
        done: bool,
    },
    /// ARGOS is to be asked about a submission that could not be bound to a lease.
    Ask {
        submission: SubmissionId,
    },
    /// ARGOS was asked about a submission.
    Answered {
        submission: SubmissionId,
        answer: Answer,
    },
    /// A page of submissions was looked through; `next` is where the next one begins.
    Surveyed {
        next: Option<Cursor>,
    },
    /// ARGOS was asked how many ids it holds. `overlapped` by a call of ours, the number says nothing
    /// about others' ids.
    Counted {
        tokens: Option<u32>,
        overlapped: bool,
    },
    /// A Ready token was looked up at ARGOS, to see that key and pid belong together.
    KeyChecked {
        sequence: Sequence,
        found: Option<bool>,
    },
    /// The key at ARGOS was replaced: it must be seen again that it belongs to our pid.
    KeyReplaced,
    /// Asks for a count.
    WantCount,
    /// Forgets requests whose leases closed long enough ago (L3).
    Forget,
    /// Asks for tokens beyond the target, once.
    Extra {
        tokens: u32,
    },
    Pause {
        activities: Vec<Activity>,
        reason: String,
        by: String,
    },
    /// Also clears what halted hand-outs, when leasing is among the activities.
    Resume {
        activities: Vec<Activity>,
    },
    /// Every token below this sequence may have been shown (L1): the ledger may be an older past, in
    /// which those that were leased are Ready still, or Minted.
    Suspect {
        below: Sequence,
    },
    /// A check found promises broken.
    Breached {
        breaches: Vec<Breach>,
    },
    /// Does what is due because of time.
    Sweep,
}

/// What came of asking about a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was bound to a lease of ours.
    Ours,
    /// It belongs to nobody we know, or is gone.
    Stranger,
    /// No answer, or none that tells.
    Nothing,
}

/// One lease, as a caller wants it.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub grant: Grant,
    pub ttl: Duration,
    /// `None`: what is asked cannot be written, and only a repeat is answered (L3).
    pub draft: Option<Draft>,
}

/// What takes the place of a lease.
#[derive(Clone, Debug)]
pub struct Replacement {
    pub ttl: Duration,
    /// A draft without parameters: they are those of the lease that is replaced.
    pub blank: Draft,
}

/// What a command came to. Held until what it rests on is durable (J1).
#[derive(Clone, Debug)]
pub enum Reply {
    Done,
    /// In the order of the wishes.
    Leases(Vec<Granted>),
    /// The lease is closed; its line of history tells the rest.
    Closed(Box<ClosedLease>),
    /// Closed earlier; the line must be read from history.
    Past(Sequence),
    Fact(Heard),
    /// The token that was ordered.
    Minted(Sequence),
}

/// What became of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It changed something.
    News,
    /// Known already: a duplicate, or older than what is known.
    Known,
    /// About a token of ours that was forgotten long ago.
    TooLate,
    /// About no token of this ledger.
    Foreign,
    /// ARGOS must be asked whom it is about.
    Asked,
    /// It names nothing to find anybody by.
    Unnamed,
}

/// One lease of an answer.
#[derive(Clone, Debug)]
pub enum Granted {
    Open {
        sequence: Sequence,
        token: TokenId,
        lease: Arc<Lease>,
    },
    /// A repeated request whose lease has closed: its state, without URL.
    Past(Sequence),
}

/// Why a command was turned down. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("no token is ready")]
    Empty,
    #[error("this request_id was used with other parameters")]
    RequestIdReused,
    #[error("leasing is paused")]
    Paused,
    #[error("hand-outs stopped because a promise was found broken")]
    Halted,
    #[error("the lease was started")]
    LeaseStarted,
    #[error("no link can be written that says what is asked")]
    NoDraft,
    /// Of a lease that is replaced, when links are written otherwise than they were.
    #[error("the link would be too long")]
    LinkTooLong,
    /// Not among the live ones: closed, another's, or never there.
    #[error("no such open lease")]
    NotOpen,
    #[error("no token is ordered: {}", .0.as_str())]
    NoOrder(Rest),
}

impl Refusal {
    pub const fn reason(self) -> Reason {
        match self {
            Self::Empty => Reason::PoolEmpty,
            Self::RequestIdReused => Reason::RequestIdReused,
            Self::Paused => Reason::Paused,
            Self::Halted => Reason::Halted,
            Self::LeaseStarted => Reason::LeaseStarted,
            Self::NoDraft | Self::LinkTooLong => Reason::InvalidRequest,
            Self::NotOpen => Reason::LeaseNotFound,
            Self::NoOrder(Rest::AtCap) => Reason::CapReached,
            Self::NoOrder(Rest::Hindered(hindrance)) => match hindrance {
                Hindrance::Paused => Reason::Paused,
                Hindrance::Halted => Reason::Halted,
                Hindrance::DiskSpace => Reason::LedgerUnavailable,
                Hindrance::NotCounted => Reason::Starting,
                Hindrance::CapReached => Reason::CapReached,
                Hindrance::Stopping => Reason::Draining,
            },
            Self::NoOrder(Rest::Enough | Rest::LessThanABatch | Rest::CallsInFlight) => {
                Reason::Internal
            }
        }
    }
}
