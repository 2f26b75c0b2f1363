//! The life of a token, and of the lease that uses it up.
//!
//! ```text
//! Minted ──200, alone, settled──▶ Ready ──lease──▶ Leased ──decision, deadline, release──▶ Doomed ──DELETE──▶ gone
//!   └────────────── given up after doubt ───────────┴── aged ───────────────────────────────▲
//! ```
//!
//! There is no arrow back to Ready from anything that may have been shown (L2). What a closed lease
//! was stays in history; the token itself is forgotten when ARGOS has deleted it.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    ids::{OrderId, Owner, RequestId, Revision, Sequence, SubmissionId, TokenId},
    seal::{Digest, RequestKey},
    time::Timestamp,
};

/// One token that holds a slot at ARGOS, or may hold one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub sequence: Sequence,
    pub id: TokenId,
    pub minted: Timestamp,
    /// The commit that changed it last.
    pub revision: Revision,
    pub stage: Stage,
}

/// Where a token stands. Each variant carries only what is true there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Written down here; ARGOS may or may not know it.
    Minted { order: OrderId },
    /// Registered for certain and never shown to anybody.
    Ready { since: Timestamp },
    /// Given to one caller, or presumed to be.
    Leased(Arc<Lease>),
    /// To be deleted at ARGOS; it holds its slot until that is done.
    Doomed(Doom),
}

/// An open lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub issued: Timestamp,
    /// Without a sign of use the lease lapses here.
    pub deadline: Timestamp,
    pub started: Option<Started>,
    pub holder: Holder,
}

impl Lease {
    /// The request that created it, where a caller did and can repeat it.
    pub fn request(&self) -> Option<Request> {
        match &self.holder {
            Holder::Caller { grant, .. } => grant.request,
            Holder::Presumed => None,
        }
    }
}

/// Who has an open lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The URL is kept as it was answered, so that a replay is the same byte for byte (L3).
    Caller { grant: Grant, url: Box<str> },
    /// The token may have been shown by somebody who cannot tell us. Nobody owns this lease.
    Presumed,
}

/// What is remembered of a caller's wish, also after the lease closed: no parameter and no URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub owner: Owner,
    pub request: Option<Request>,
    pub labels: Labels,
}

pub type Labels = BTreeMap<String, String>;

/// A request that can be repeated: what the caller named it, and what it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub id: RequestId,
    pub key: RequestKey,
    pub digest: Digest,
}

/// The earliest sign that somebody opened the Liveform with the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    pub at: Timestamp,
    /// From here on ARGOS admits nobody any more (contract 2: three minutes after first use).
    pub entry_ends: Timestamp,
    /// Without a decision the lease expires here.
    pub session_ends: Timestamp,
    pub submission: Option<SubmissionId>,
}

/// A token on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doom {
    pub cause: DoomCause,
    pub since: Timestamp,
    /// Not deleted before this: somebody may still be on the page, or a late copy of its
    /// registration on the way.
    pub not_before: Timestamp,
    /// Deletions that did not settle.
    pub attempts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DoomCause {
    /// Whether ARGOS knows it is not known: its order was given up, or it was presumed leased.
    Cancelled,
    /// It waited unused for as long as the project allows.
    Aged,
    LeaseClosed,
}

/// Why a lease closed, for the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// ARGOS decided, be it that a person must look.
    Decided,
    /// Started, and closed to entries without a decision in time.
    Expired,
    /// The deadline passed without a sign of use.
    Lapsed,
    /// The caller says that it was never shown.
    Released,
}

impl Ending {
    pub const ALL: [Self; 4] = [Self::Decided, Self::Expired, Self::Lapsed, Self::Released];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decided => "decided",
            Self::Expired => "expired",
            Self::Lapsed => "lapsed",
            Self::Released => "released",
        }
    }
}

/// What ARGOS decided about the lease's submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// ARGOS waits for a person; the token is dead all the same (contract 2).
    Pending,
    Rejected,
    Approved,
}

impl Decision {
    pub const ALL: [Self; 3] = [Self::Pending, Self::Rejected, Self::Approved];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Rejected => "rejected",
            Self::Approved => "approved",
        }
    }

    /// Whether this one stands where `earlier` was known already: a verdict beats waiting for one,
    /// and an approval is not undone by the rejection of an abandoned attempt (contract 7).
    pub fn supersedes(self, earlier: Self) -> bool {
        self > earlier
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided {
    pub decision: Decision,
    pub at: Timestamp,
}

/// One line of history: what a lease was, without parameters, token or URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedLease {
    pub sequence: Sequence,
    pub revision: Revision,
    pub issued: Timestamp,
    pub deadline: Timestamp,
    pub started: Option<Started>,
    pub closed: Timestamp,
    pub ending: Ending,
    pub decided: Option<Decided>,
    /// `None`: a presumed lease, which had no owner.
    pub grant: Option<Grant>,
    /// The request that closed it, where one did and can be repeated.
    pub closer: Option<Request>,
}

impl ClosedLease {
    /// What it is remembered by: the request that created it, and the one that closed it.
    pub fn requests(&self) -> impl Iterator<Item = Request> {
        let created = self.grant.as_ref().and_then(|grant| grant.request);
        created.into_iter().chain(self.closer)
    }

    /// What was asked for by the request with this key, if the lease is remembered by it.
    pub fn asked(&self, key: RequestKey) -> Option<Digest> {
        self.requests().find(|request| request.key == key).map(|request| request.digest)
    }
}
