//! What the engine needs from outside, in its own words. Traits and their vocabulary only.
//!
//! A [`Ledger`] knows records, not verbs: the model lives in the domain once, and sled and memory
//! differ below this line only. A [`Supplier`] gives one of three answers, never two: a call that got
//! no answer taught us nothing, and treating it as a failure is how tokens get lost.

use std::{error::Error, future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::domain::{
    ids::{OrderId, ProjectName, Revision, Sequence, SubmissionId, TokenId},
    order::Order,
    paging::{Cursor, Days},
    pause::{Activity, Pause},
    pool::{Event, Unfinished},
    recall::Recall,
    seal::LedgerIdentity,
    submission::Report,
    time::Timestamp,
    token::{ClosedLease, Token},
};

/// Work under way. Boxed, so that the engine is compiled once and not once per store.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Something that may be replaced while the daemon runs, such as a key: asked for each time it is used.
pub type Current<T> = Arc<dyn Fn() -> Arc<T> + Send + Sync>;

/// Where a project's records become durable. One conformance suite for all implementations.
pub trait Ledger: Send {
    /// Opens, or opens again, and gives back everything that was committed. Raises the epoch, so
    /// that a predecessor that is still alive can commit no more (J3).
    fn open(&mut self, opening: Opening) -> Pending<'_, Result<Opened, LedgerError>>;

    /// Durable when it returns `Ok`, power loss included: not buffered, not "within 500 ms" (J1).
    /// All of the group or nothing. After an error the ledger is used again only through `open`.
    fn commit(&mut self, group: Group) -> Pending<'_, Result<(), LedgerError>>;

    /// Drops lines of history that closed before `before`, and the oldest beyond `lines_max`.
    /// Returns how many went.
    fn retain(
        &mut self,
        before: Timestamp,
        lines_max: u64,
    ) -> Pending<'_, Result<u64, LedgerError>>;

    /// Reads what is committed, from any task, also while the ledger commits or is opened again.
    fn reader(&self) -> Arc<dyn Reader>;
}

/// Looks up what is committed.
pub trait Reader: Send + Sync {
    /// The line of history of a closed lease, as it was changed last.
    fn line(&self, sequence: Sequence) -> Pending<'_, Result<Option<ClosedLease>, LedgerError>>;

    /// Lines from `from` upwards in sequence order, at most `limit`.
    fn lines(
        &self,
        from: Sequence,
        limit: usize,
    ) -> Pending<'_, Result<Vec<ClosedLease>, LedgerError>>;

    /// The lines of these leases, as far as there are any, in sequence order.
    fn lines_of(
        &self,
        sequences: Vec<Sequence>,
    ) -> Pending<'_, Result<Vec<ClosedLease>, LedgerError>>;

    /// Lines from `from` upwards in sequence order that changed after a revision, at most `limit`.
    fn lines_changed(
        &self,
        after: Revision,
        from: Sequence,
        limit: usize,
    ) -> Pending<'_, Result<Vec<ClosedLease>, LedgerError>>;

    /// From where on all changes are still there.
    fn resumable(&self) -> Resumable;

    /// What the ledger takes of its volume.
    fn usage(&self) -> Usage;
}

/// Whoever saw everything up to a revision under an epoch can be told all that changed since, unless
/// either is lower than here: lines were dropped since, or the ledger is an older past of the one that
/// was watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resumable {
    pub epoch: u64,
    pub revision: Revision,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub bytes: u64,
    /// Bytes left on the volume; the largest number where the ledger has no volume.
    pub free_bytes: u64,
}

/// What a ledger is opened with.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The project id at ARGOS. A ledger of another one is refused: its tokens would be dead links.
    pub pid: String,
    /// Becomes the identity of a ledger that does not exist yet.
    pub identity: LedgerIdentity,
    /// Leases that closed before this need not be remembered.
    pub remember_after: Timestamp,
}

/// What a ledger gives back.
#[derive(Clone, Debug)]
pub struct Opened {
    pub identity: LedgerIdentity,
    pub epoch: u64,
    /// Of the last commit.
    pub revision: Revision,
    /// The first sequence that was never minted.
    pub next: Sequence,
    /// The first sequence that was never leased; everything below it may have been shown.
    pub granted: Sequence,
    /// The time of the last commit, for a clock that must not step back (T1).
    pub committed_at: Timestamp,
    /// In sequence order.
    pub tokens: Vec<Token>,
    pub orders: Vec<Order>,
    pub pauses: Vec<(Activity, Pause)>,
    /// Closed leases, by the requests that created them and those that closed them.
    pub past: Recall,
    /// Closed leases about which ARGOS may have more to tell.
    pub unfinished: Vec<Unfinished>,
    /// Set when the ledger may be an older past of itself: tokens below this sequence may have been
    /// shown (L1). It is told at every `open` until one commit succeeded, which must therefore hold
    /// everything that is done about it.
    pub suspect_below: Option<Sequence>,
}

/// One commit: everything that changed since the last one.
#[derive(Clone, Debug, Default)]
pub struct Group {
    pub revision: Revision,
    pub at: Timestamp,
    pub next: Sequence,
    pub granted: Sequence,
    pub tokens: Vec<Token>,
    pub tokens_gone: Vec<Sequence>,
    pub orders: Vec<Order>,
    pub orders_gone: Vec<OrderId>,
    pub pauses: Vec<(Activity, Pause)>,
    pub pauses_gone: Vec<Activity>,
    /// New lines of history, and lines that stand in the place of older ones.
    pub lines: Vec<ClosedLease>,
}

impl Group {
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
            && self.tokens_gone.is_empty()
            && self.orders.is_empty()
            && self.orders_gone.is_empty()
            && self.pauses.is_empty()
            && self.pauses_gone.is_empty()
            && self.lines.is_empty()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The write certainly did not happen.
    #[error("ledger refused the write")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// The write may have happened. The owner must open and read again before it goes on.
    #[error("ledger did not confirm the write")]
    Unconfirmed(#[source] Box<dyn Error + Send + Sync>),
    /// Somebody newer owns this ledger.
    #[error("ledger has a newer owner")]
    Fenced,
    /// It cannot be opened as it is; the sentence tells the operator's choices.
    #[error("{0}")]
    Unusable(String),
    #[error("ledger could not be read")]
    Unreadable(#[source] Box<dyn Error + Send + Sync>),
}

impl LedgerError {
    /// The error with all its causes, as one sentence.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

/// Where tokens come from. Implementations never retry by themselves: who calls, when and how often
/// is decided from the state of the pool.
pub trait Supplier: Send + Sync {
    /// Whether a call of this purpose may leave at this moment. Every admitted call is made, and its
    /// outcome is heard by the supplier itself.
    fn admit(&self, purpose: Purpose) -> Result<(), Hold>;

    /// Makes exactly these ids known. B1 and B2 are the caller's to keep.
    fn register(&self, tokens: Vec<TokenId>) -> Pending<'_, Outcome<Registered>>;

    /// Makes these ids unknown. Ids that were unknown already count as done.
    fn delete(&self, tokens: Vec<TokenId>) -> Pending<'_, Outcome<()>>;

    /// How many ids are known over there, ours and others'.
    fn count(&self) -> Pending<'_, Outcome<u32>>;

    /// Whether one id is known over there.
    fn find(&self, token: TokenId) -> Pending<'_, Outcome<bool>>;

    /// One page of all ids that are known over there, the first one without a cursor.
    fn list(&self, cursor: Option<Cursor>) -> Pending<'_, Outcome<Listing>>;

    /// One page of the submissions that were created on these days, the first one without a cursor.
    fn submissions(
        &self,
        days: Days,
        cursor: Option<Cursor>,
    ) -> Pending<'_, Outcome<SubmissionsPage>>;

    /// One submission; `None` where there is none, or it was deleted.
    fn submission(&self, id: SubmissionId) -> Pending<'_, Outcome<Option<Report>>>;

    /// How the other side looks, from the calls so far.
    fn health(&self) -> SupplierHealth;
}

/// The share of the call budget that a call is made from (R2, C2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    Refill,
    Purge,
    Reconcile,
    /// What became of leases of which no webhook told.
    Outcomes,
}

impl Purpose {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refill => "refill",
            Self::Purge => "purge",
            Self::Reconcile => "reconcile",
            Self::Outcomes => "outcomes",
        }
    }
}

/// One page of ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    pub tokens: Vec<TokenId>,
    /// Entries whose id no rule of the contract allows.
    pub unreadable: u32,
    /// `None` on the last page.
    pub next: Option<Cursor>,
}

/// One page of submissions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubmissionsPage {
    pub reports: Vec<Report>,
    /// `None` on the last page.
    pub next: Option<Cursor>,
}

/// Not at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// How long until it is worth asking again.
    pub retry_after: Duration,
}

/// The three outcomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It happened.
    Settled(T),
    /// It certainly did not.
    Refused(Refused),
    /// We cannot know.
    Doubtful(Doubtful),
}

/// A registration that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// How many ids are known over there after the call, where the answer says so.
    pub count: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub cause: RefusedCause,
    pub retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusedCause {
    /// It never left: no connection.
    NotSent,
    Key,
    Address,
    /// The other side cannot open what we sent, or does not expect it to be sealed.
    Transfer,
    Throttled,
    /// The request itself was turned down: our mistake, or a limit that is lower than we think.
    Request,
    /// More ids than one call may carry over there.
    TooMany,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubtful {
    pub cause: DoubtfulCause,
    pub retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DoubtfulCause {
    /// The other side is full; it may have stored a part.
    CapReached,
    /// No answer: the call may still be on its way.
    Unanswered,
    /// An answer that says that the call failed: it is over.
    Failed,
    /// An answer that cannot be read, or whose counts contradict the batch.
    Unclear,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupplierHealth {
    pub condition: Condition,
    /// Wall time of the last settled call.
    pub last_success: Option<Timestamp>,
    /// When calls that are held back may be tried again, in pool time.
    pub next_attempt: Option<Timestamp>,
    /// Calls that a day may have, and those left today.
    pub budget: u32,
    pub budget_remaining: u32,
    /// Of those left, the ones that may register; the rest is kept for as long as others may need it today.
    pub budget_for_orders: u32,
    /// Ids that one call may carry, as far as the other side has taught us.
    pub batch_limit: u32,
    /// How often the key was replaced. After each time one Ready token is read back, because the new
    /// key may be that of another project.
    pub key_changes: u64,
    /// Whether the last answer came from the simulator: then tokens cost nothing.
    pub simulated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    Up,
    /// Calls fail, but not yet enough of them to stop calling.
    Failing,
    Down,
    KeyRefused,
    AddressRefused,
    /// The other side cannot open what we send; questions are answered all the same.
    TransferRefused,
    Throttled,
}

impl Condition {
    /// Whether calls are made and answered.
    pub const fn is_usable(self) -> bool {
        match self {
            Self::Up | Self::Failing | Self::Throttled => true,
            Self::Down | Self::KeyRefused | Self::AddressRefused | Self::TransferRefused => false,
        }
    }
}

/// Pool time (T1): it never steps back, never stands still, and does not follow a jump of the wall
/// clock. What a clock without a wall clock beside it would say is given here.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;

    /// Goes on from the time of the last commit of a ledger that is being opened;
    /// [`Timestamp::ZERO`] where there was none.
    fn continue_from(&self, at: Timestamp);

    /// ARGOS's clock said so at this moment, in whole seconds and late by the way here.
    fn told(&self, _by_argos: Timestamp) {}

    /// Whether the wall clock is elsewhere and ARGOS has not yet said which of the two is right.
    fn in_doubt(&self) -> bool {
        false
    }

    /// How often time has stepped forward. A span that a step falls into was not waited for: whoever
    /// waits so that something else can happen meanwhile begins again (B3).
    fn steps(&self) -> u64 {
        0
    }

    /// What the wall clock says, believed or not.
    fn wall(&self) -> Timestamp {
        self.now()
    }
}

/// Looks at a project as it stands here and at ARGOS, for who is about to go live.
pub trait Checkup: Send + Sync {
    /// Every check, in the order in which people read them. Bounded in time; one at a time for a
    /// project, because each orders a token. Dropped half way, what was begun is finished all the same.
    fn check(&self, project: &ProjectName) -> Pending<'_, Vec<Finding>>;
}

/// What one check came to. Neither text holds a secret, and both are for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A name that stays, such as `api_key`.
    pub name: &'static str,
    pub result: CheckResult,
    pub summary: String,
    /// What to do about it; empty when there is nothing to do.
    pub advice: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckResult {
    Passed,
    Failed,
    /// Nobody here can see it, or not at this moment.
    NotCheckable,
}

/// Hears what was committed and how long it took. Counters are a fold of what it hears, so they
/// cannot disagree with the ledger.
pub trait Observer: Send + Sync {
    fn committed(&self, events: &[Event]);

    /// One group is durable: how many commands shared it, and how long the commit took.
    fn group(&self, commands: usize, took: Duration);

    /// A group did not become durable, or nobody knows whether it did; the ledger is read again.
    fn commit_failed(&self) {}

    /// Callers stood in the queue of an empty pool, whether or not they were served.
    fn waited(&self, callers: usize, waited: Duration);
}
