//! The life of a token, and of the lease that uses it up.
//!
//! ```text
//! Minted ──200, alone, settled──▶ Ready ──lease──▶ Leased ──decision, deadline, revoke──▶ Doomed ──DELETE──▶ gone
//!   └────────────── given up after doubt ───────────┴── aged, vanished ────────────────────▲
//! ```
//!
//! There is no arrow back to Ready from anything that may have been shown (L2). What a closed lease
//! was stays in history; the token itself is forgotten when ARGOS has deleted it.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    ids::{OrderId, Owner, RequestId, Revision, Sequence, TokenId},
    seal::{Digest, RequestKey},
    submission::{Decided, Submissions},
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
    /// ARGOS said that nobody enters from this time on, whether or not it was used.
    pub expires: Option<Timestamp>,
    pub started: Option<Started>,
    pub submissions: Submissions,
    /// Since when the token is missing in ARGOS's list. It is no ending: somebody may be on the page.
    pub vanished: Option<Timestamp>,
    /// The lease in whose place it was given.
    pub replaces: Option<Sequence>,
    /// The link carries a mark of ours.
    pub correlated: bool,
    pub holder: Holder,
}

impl Lease {
    /// When it closes by itself.
    pub fn ends(&self) -> Timestamp {
        match (self.started, self.expires) {
            (Some(started), _) => started.session_ends,
            (None, Some(expires)) => self.deadline.min(expires),
            (None, None) => self.deadline,
        }
    }

    /// Since when ARGOS certainly admits nobody any more, as far as it is known.
    pub fn link_dead(&self) -> Option<Timestamp> {
        let entry_ends = self.started.map(|started| started.entry_ends);
        [entry_ends, self.expires, self.vanished].into_iter().flatten().min()
    }

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
    /// The URL is kept as it was answered, so that a replay is the same byte for byte (L3), and beside
    /// it what its envelope says ([`super::liveform::Link`]), so that another can take its place.
    Caller { grant: Grant, url: Box<str>, sealed: Box<str> },
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    pub at: Timestamp,
    /// From here on ARGOS admits nobody any more (contract 2: three minutes after first use).
    pub entry_ends: Timestamp,
    /// Without a decision the lease expires here.
    pub session_ends: Timestamp,
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
    /// Somebody waits for the link to be dead: it goes before all others, and the time at which
    /// ARGOS had deleted it is written down.
    pub urgent: bool,
}

impl Doom {
    /// One that nobody waits for.
    pub const fn new(cause: DoomCause, since: Timestamp, not_before: Timestamp) -> Self {
        Self { cause, since, not_before, attempts: 0, urgent: false }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DoomCause {
    /// Whether ARGOS knows it is not known: its order was given up, or it was presumed leased.
    Cancelled,
    /// It waited unused for as long as the project allows.
    Aged,
    /// It is missing in ARGOS's list, and nobody was given it.
    Vanished,
    LeaseClosed,
    /// Nobody wants it any more: it was only registered to see that it can be, or its ledger will not be
    /// there after this stop.
    Discarded,
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
    /// The link was killed on request.
    Revoked,
    /// Another lease took its place.
    Replaced,
}

impl Ending {
    pub const ALL: [Self; 6] =
        [Self::Decided, Self::Expired, Self::Lapsed, Self::Released, Self::Revoked, Self::Replaced];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decided => "decided",
            Self::Expired => "expired",
            Self::Lapsed => "lapsed",
            Self::Released => "released",
            Self::Revoked => "revoked",
            Self::Replaced => "replaced",
        }
    }
}

/// What ARGOS decided about a submission, the better the later: of several submissions on one link
/// the best stands (contract 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    Rejected,
    /// ARGOS waits for a person; the token is dead all the same (contract 2).
    Pending,
    Approved,
}

impl Decision {
    pub const ALL: [Self; 3] = [Self::Rejected, Self::Pending, Self::Approved];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Pending => "pending",
            Self::Approved => "approved",
        }
    }
}

/// One line of history: what a lease was, without parameters, token or URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedLease {
    pub sequence: Sequence,
    pub revision: Revision,
    pub issued: Timestamp,
    pub deadline: Timestamp,
    pub started: Option<Started>,
    pub submissions: Submissions,
    pub vanished: Option<Timestamp>,
    pub closed: Timestamp,
    pub ending: Ending,
    /// Since when ARGOS certainly admits nobody any more, as far as it is known.
    pub link_dead: Option<Timestamp>,
    /// The lease in whose place it was given, and the one that took its place.
    pub replaces: Option<Sequence>,
    pub replaced_by: Option<Sequence>,
    /// The link carried a mark of ours.
    pub correlated: bool,
    /// `None`: a presumed lease, which had no owner.
    pub grant: Option<Grant>,
    /// The request that closed it, where one did and can be repeated.
    pub closer: Option<Request>,
}

impl ClosedLease {
    pub fn decided(&self) -> Option<Decided> {
        self.submissions.decided()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_and_decisions_have_names_that_stay() {
        let endings = ["decided", "expired", "lapsed", "released", "revoked", "replaced"];
        assert_eq!(Ending::ALL.map(Ending::as_str), endings);
        assert_eq!(Decision::ALL.map(Decision::as_str), ["rejected", "pending", "approved"]);
    }
}
