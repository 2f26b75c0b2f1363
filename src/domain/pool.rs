//! One project's pool: every token that holds a slot at ARGOS, and what is known about each.
//!
//! [`Pool::decide`] judges a command and changes nothing; [`Pool::apply`] folds what was decided in
//! and refuses nothing; [`Pool::audit`] checks both from scratch. What must be done outside is asked of
//! the state by [`Pool::outstanding`], never fired by a change, so a restart asks for the same work.

mod apply;
mod audit;
mod census;
mod changes;
mod clearing;
mod command;
mod decide;
mod event;
mod open;
mod outcomes;
mod outstanding;
mod reconcile;
#[cfg(test)]
mod stand;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub use census::{Census, Count, KeyCheck};
pub use changes::Changes;
pub use command::{Answer, Command, Granted, Heard, Refusal, Replacement, Reply, Wanted};
pub use decide::Verdict;
pub use event::{Event, News};
pub use open::Restored;
pub use outcomes::{Bound, Unfinished};
pub use outstanding::{Effect, UnderWay};
pub use reconcile::{
    Conclusion, Likeness, ReconcilePolicy, Reconciliation, SuspectedCause, Unwanted,
    Wanted as ListingWanted,
};

use super::{
    birth::Birth,
    ids::{OrderId, Revision, Sequence, TokenId, TokenPrefix},
    invariant::Breach,
    limits::{BIRTH_SYMBOLS, SEALED_SYMBOLS},
    order::Order,
    pause::{Activity, Pause},
    recall::Recall,
    refill,
    seal::{RequestKey, Seal},
    time::Timestamp,
    token::{Doom, DoomCause, Lease, Stage, Token},
};

/// How a project's tokens live, as values that were checked when the configuration was read.
#[derive(Clone, Debug)]
pub struct Policy {
    pub refill: refill::Policy,
    pub prefix: TokenPrefix,
    /// The ledger dies with the place where the process runs: new ids tell the hour of their birth, and
    /// a stop clears what nobody holds ([`Command::Clear`]).
    pub ephemeral: bool,
    pub cap: u32,
    /// Slots that are never used by us.
    pub reserve: u32,
    /// How long after a 200 to its only attempt an order becomes Ready, and how long after the end of
    /// its last attempt if any went unanswered (B3). In pool time, so with what that may run fast (T1).
    pub settle_delay: Duration,
    pub late_copy_delay: Duration,
    /// Unused tokens are rotated at this age.
    pub unused_age_max: Option<Duration>,
    /// First use to closed for entries (contract 2).
    pub entry_window: Duration,
    /// First use to expired without a decision.
    pub session_max: Duration,
    /// How long a closed lease's token is left alone before it is deleted.
    pub decided_grace: Duration,
    pub lapsed_grace: Duration,
    pub revoked_grace: Duration,
    /// How long after its issue ARGOS is asked about a lease of which nothing was heard; the span
    /// doubles each time. `None`: never.
    pub overdue_after: Option<Duration>,
    pub reconcile: ReconcilePolicy,
    /// From this many failed deletions on a token counts as stuck.
    pub delete_tries_max: u32,
    /// How long nothing is ordered after ARGOS said that it is full.
    pub cap_pause: Duration,
    /// The longest lease there can be; what a presumed lease gets.
    pub ttl_max: Duration,
    /// How long after its lease closed a request is remembered (L3), and what ARGOS may have to tell
    /// of it is asked for.
    pub request_id_memory: Duration,
}

impl Policy {
    /// What ids begin with that are drawn at this moment.
    pub(super) fn prefix_at(&self, now: Timestamp) -> TokenPrefix {
        if self.ephemeral { self.prefix.born_in(Birth::at(now)) } else { self.prefix.clone() }
    }

    /// Bytes of a token id that is drawn from now on.
    pub fn token_bytes(&self) -> usize {
        let birth = if self.ephemeral { BIRTH_SYMBOLS } else { 0 };
        self.prefix.as_str().len() + birth + SEALED_SYMBOLS
    }
}

/// ARGOS said that it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CapReached {
    /// Nothing is ordered until then, and one batch at a time after it, until one is accepted.
    until: Timestamp,
}

/// The state of one project. What is durable of it goes through [`Changes`]; the rest is what this
/// process has learned about ARGOS and would learn again.
#[derive(Clone)]
pub struct Pool {
    policy: Policy,
    seal: Seal,
    /// When it was read from its records.
    opened: Timestamp,
    revision: Revision,
    /// The first sequence that was never minted, and the first that was never leased.
    next: Sequence,
    granted: Sequence,
    tokens: BTreeMap<Sequence, Token>,
    orders: BTreeMap<OrderId, Order>,
    pauses: BTreeMap<Activity, Pause>,
    /// By the requests of leases that have closed: where in history to look.
    past: Recall,

    // Indexes, each derived from the above.
    ready: BTreeSet<Sequence>,
    /// Ready tokens that may not be there any more, and are not handed out before that is clear.
    held_back: BTreeSet<Sequence>,
    /// The open lease that each request stands for.
    requests: BTreeMap<RequestKey, Sequence>,
    /// When each open lease changes by itself.
    due: BTreeSet<(Timestamp, Sequence)>,
    /// When each doomed token may be deleted ([`Pool::deletable`]), and of those the ones that somebody
    /// waits for.
    doomed: BTreeSet<(Timestamp, Sequence)>,
    urgent: BTreeSet<(Timestamp, Sequence)>,
    leased: u32,
    minted: u32,

    // Knowledge.
    count: Option<Count>,
    /// Ids that are not ours, as the last count told that no call of ours overlapped.
    foreign: u32,
    count_wanted: Option<Timestamp>,
    count_tried: bool,
    cap_reached: Option<CapReached>,
    key_check: KeyCheck,
    /// Tokens that were Ready before the key came: whether ARGOS knows them tells whose key it is.
    key_witnesses: Vec<Sequence>,
    extra: u32,
    breaches: Vec<Breach>,
    outcomes: outcomes::Outcomes,
    listing: reconcile::Listing,
    last_good_count: Option<Timestamp>,

    changes: Changes,
}

impl Pool {
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    pub fn seal(&self) -> &Seal {
        &self.seal
    }

    pub fn revision(&self) -> Revision {
        self.revision
    }

    pub fn next(&self) -> Sequence {
        self.next
    }

    pub fn token(&self, sequence: Sequence) -> Option<&Token> {
        self.tokens.get(&sequence)
    }

    /// Tokens from `from` upwards.
    pub fn tokens_from(&self, from: Sequence) -> impl Iterator<Item = &Token> {
        self.tokens.range(from..).map(|(_, token)| token)
    }

    /// Sequences from `from` upwards that were leased or may have been; nothing above the mark was.
    pub fn leased_from(&self, from: Sequence) -> impl Iterator<Item = Sequence> {
        let below = self.granted.max(from);
        self.tokens.range(from..below).map(|(sequence, _)| *sequence)
    }

    /// The open lease under this sequence, with its token.
    pub fn lease(&self, sequence: Sequence) -> Option<(&Token, &Lease)> {
        let token = self.tokens.get(&sequence)?;
        match &token.stage {
            Stage::Leased(lease) => Some((token, lease)),
            Stage::Minted { .. } | Stage::Ready { .. } | Stage::Doomed(_) => None,
        }
    }

    /// The open lease that a request stands for.
    pub fn requested(&self, key: RequestKey) -> Option<Sequence> {
        self.requests.get(&key).copied()
    }

    /// The closed leases that a request may stand for; only their lines of history tell.
    pub fn recalled(&self, key: RequestKey) -> impl Iterator<Item = Sequence> {
        self.past.find(key.name())
    }

    /// The sequence inside an id, if it is one of this ledger's (B2: then it was written down here).
    pub fn sequence_of(&self, token: &TokenId) -> Option<Sequence> {
        self.seal.open_token(token).filter(|sequence| *sequence < self.next)
    }

    pub fn pauses(&self) -> impl Iterator<Item = (Activity, &Pause)> {
        self.pauses.iter().map(|(activity, pause)| (*activity, pause))
    }

    /// When a token on its way out may be deleted. Of one that was given up before the records were read
    /// nobody knows how much of its wait for late copies was waited for: time may have stepped since, or
    /// another clock may have been believed. It waits anew (B3).
    fn deletable(&self, doom: &Doom) -> Timestamp {
        let given_up = doom.cause == DoomCause::Cancelled && doom.since <= self.opened;
        let anew = self.opened.plus(self.policy.late_copy_delay);
        if given_up { doom.not_before.max(anew) } else { doom.not_before }
    }

    pub fn paused(&self, activity: Activity) -> bool {
        self.pauses.contains_key(&activity)
    }

    /// Promises found broken in this process that stop hand-outs until a person resumes leasing.
    pub fn breaches(&self) -> &[Breach] {
        &self.breaches
    }

    pub fn halted(&self) -> bool {
        self.key_check == KeyCheck::Failed
            || self.breaches.iter().any(|breach| breach.promise.stops_hand_outs())
    }

    /// The first sequence that was never leased.
    pub fn granted(&self) -> Sequence {
        self.granted
    }

    pub fn order(&self, id: OrderId) -> Option<&Order> {
        self.orders.get(&id)
    }

    pub fn pause(&self, activity: Activity) -> Option<&Pause> {
        self.pauses.get(&activity)
    }

    /// What this process has learned stands after the records were read again: what stopped hand-outs
    /// stops them still, and what ARGOS holds of others takes room still (C1).
    pub fn keep_knowledge_of(&mut self, before: &Self) {
        self.breaches.clone_from(&before.breaches);
        self.key_check = before.key_check;
        self.key_witnesses.clone_from(&before.key_witnesses);
        self.count = before.count;
        self.foreign = before.foreign;
        self.last_good_count = before.last_good_count;
        self.listing.clone_from(&before.listing);
        for sequence in &before.held_back {
            self.hold_back(*sequence);
        }
        self.cap_reached = before.cap_reached;
    }

    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.values()
    }
}
