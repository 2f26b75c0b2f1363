//! The one task that owns a project's pool.
//!
//! Callers put commands into a bounded mailbox through a [`Handle`]. The task takes everything that
//! has queued up, decides and applies each, commits all changes as one group, and only then lets the
//! answers go, refusals and reads included (J1): nobody ever sees a state that is not committed. Calls
//! to make are asked of the state after each commit, so a restart and a running system take the same
//! path. After any answer to a commit but success the pool is thrown away and read again; nothing is
//! ever unwound.

mod chores;
mod clearing;
mod commit;
mod dispatch;
mod explain;
mod handle;
mod hearing;
mod look;
mod mailbox;
mod orders;
mod pools;
mod problems;
mod recover;
mod status;
mod steps;
mod told;
mod turn;
mod waiting;
mod watch;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

pub use explain::{explain_lease, in_words, meaning};
pub use handle::{Handle, LeaseView, Page, Which};
pub use mailbox::{Bell, Rejection};
pub use pools::Pools;
pub use problems::Problem;
pub(crate) use recover::restore;
pub use status::{Status, Unanswered};
pub use watch::{Watched, Watcher};

use crate::{
    domain::{
        demand::Demand,
        entropy::Entropy,
        ids::{ProjectName, Sequence},
        limits::{COMMIT_GROUP_MAX, COMMIT_STUCK, MAILBOX_MAX},
        pool::{Policy, Pool, UnderWay},
        time::Timestamp,
        token::Stage,
    },
    port::{Clock, Condition, Ledger, LedgerError, Observer, Opening, Supplier, Usage},
};
use chores::Chores;
use clearing::Clearing;
use dispatch::Holds;
use hearing::Hearing;
use mailbox::{Call, Note};
use waiting::Waiting;
use watch::Herald;

/// The engine looks around at least this often.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// The same while there are only trials: what else is due is not done, and would wake it at once.
const TRIAL_LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Pool time is written down at least this often, and at a stop: a restart goes on from there, and a wall
/// clock that is a minute ahead of it needs ARGOS to be believed (T1).
const TIME_RECORDED_EVERY: Duration = Duration::from_secs(30);

/// Everything an engine is made of.
pub struct Parts {
    pub project: ProjectName,
    /// The project id at ARGOS.
    pub pid: String,
    pub policy: Policy,
    pub settings: Settings,
    pub ledger: Box<dyn Ledger>,
    pub supplier: Arc<dyn Supplier>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Box<dyn Entropy>,
    pub observer: Arc<dyn Observer>,
}

/// What is the engine's and not the pool's to obey.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Callers that may wait for a token at the same time.
    pub waiting_max: usize,
    /// Below this free space nothing is ordered.
    pub free_space_min: u64,
    /// Closed leases are kept for this long, and no more of them than this.
    pub retention: Duration,
    pub history_max_lines: u64,
    /// Nothing is ordered and nothing is deleted but the tokens of trials, and time changes nothing
    /// else: for who only looks whether all is well.
    pub trials_only: bool,
}

/// Signs of life that do not need the engine's own attention to be read.
#[derive(Debug, Default)]
pub struct Vitals {
    /// Pool time at which the commit that is under way began; 0: none is.
    committing_since: AtomicU64,
    /// When the process is cut off, once somebody told it to stop.
    cut_off: OnceLock<Instant>,
}

impl Vitals {
    /// For how long the ledger has not answered a commit.
    pub fn stalled_for(&self, now: Timestamp) -> Duration {
        match self.committing_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => now.since(Timestamp::from_millis(since)),
        }
    }

    /// The same, where it is so long that a new process would help.
    pub fn stuck_for(&self, now: Timestamp) -> Option<Duration> {
        Some(self.stalled_for(now)).filter(|stalled| *stalled > COMMIT_STUCK)
    }
}

pub struct Engine {
    project: ProjectName,
    opening: Opening,
    /// Of the ledger, as it was opened last.
    epoch: u64,
    policy: Policy,
    settings: Settings,
    pool: Pool,
    ledger: Box<dyn Ledger>,
    supplier: Arc<dyn Supplier>,
    clock: Arc<dyn Clock>,
    /// Steps of the clock that the pool knows of.
    steps: u64,
    /// When the ledger was last given the time.
    recorded: Timestamp,
    entropy: Box<dyn Entropy>,
    observer: Arc<dyn Observer>,
    vitals: Arc<Vitals>,
    herald: Herald,

    calls: mpsc::Receiver<Call>,
    notes: mpsc::Receiver<Note>,
    /// For the tasks that make calls, and report here.
    report: mpsc::Sender<Note>,

    waiting: Waiting,
    under_way: UnderWay,
    /// The tokens that alone are ordered and deleted, where that is not all of them.
    trials: Option<BTreeSet<Sequence>>,
    holds: Holds,
    /// The plan wants more orders than the last turn wrote down.
    orders_due: bool,
    demand: Demand,
    chores: Chores,
    hearing: Hearing,
    /// What the ledger takes of its volume, as of the last look around.
    usage: Usage,
    key_changes: u64,
    condition: Condition,
    /// The last commit failed.
    failing: bool,
    stopping: bool,
    /// Of a pool whose ledger will not be there after this stop.
    clearing: Option<Clearing>,
}

impl Engine {
    /// Opens the ledger, checks what it gave back, and takes out of use what it may have shown before
    /// (L1). Nothing is handed out before this returns.
    pub async fn open(parts: Parts) -> Result<(Self, Handle), LedgerError> {
        recover::open(parts).await
    }

    /// Runs until told to stop, or until the ledger belongs to somebody else or cannot be used any
    /// more. A stop finishes what was decided and waits for the calls that are out (S2); that of a pool
    /// whose ledger is ephemeral deletes at ARGOS what nobody holds.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), LedgerError> {
        let mut calls = Vec::with_capacity(COMMIT_GROUP_MAX);
        let mut notes = Vec::with_capacity(COMMIT_GROUP_MAX);
        // The state may call for work although nobody comes.
        let mut wake = Duration::ZERO;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled(), if !self.stopping => self.begin_stop(),
                n = self.notes.recv_many(&mut notes, COMMIT_GROUP_MAX) => debug_assert!(n > 0),
                n = self.calls.recv_many(&mut calls, COMMIT_GROUP_MAX), if !self.calls.is_closed() || !self.calls.is_empty() => {
                    debug_assert!(n > 0 || self.calls.is_closed());
                }
                () = std::future::ready(()), if self.orders_due => (),
                () = tokio::time::sleep_until(Instant::now() + wake) => (),
            }
            // Notes never wait for calls; calls that are there ride along.
            while calls.len() < COMMIT_GROUP_MAX
                && let Ok(call) = self.calls.try_recv()
            {
                calls.push(call);
            }
            let durable = self.turn(&mut notes, &mut calls).await?;
            if self.stopping && self.has_finished(self.clock.now()) {
                self.tell_cleared();
                self.turn_the_rest_away();
                return Ok(());
            }
            // A pool that was read again calls for work as after a start.
            wake = if durable { self.wake() } else { Duration::ZERO };
        }
    }

    fn begin_stop(&mut self) {
        self.stopping = true;
        // Who only looks takes nothing along, and after a failure the next process may find the ledger.
        let asked = self.vitals.cut_off.get().filter(|_| self.trials.is_none());
        if self.policy.ephemeral {
            self.clearing = asked.copied().map(Clearing::begin);
        }
        tracing::info!(project = %self.project, in_flight = self.under_way.calls(), "engine finishes");
    }

    /// Whoever is still in the mailbox was never decided, and is left in no doubt about it.
    fn turn_the_rest_away(&mut self) {
        self.calls.close();
        while let Ok(call) = self.calls.try_recv() {
            let _ = call.answer.send(Err(Rejection::draining()));
        }
    }

    /// How long to sleep if nobody comes.
    fn wake(&self) -> Duration {
        if self.trials.is_some() {
            return TRIAL_LOOK_AGAIN;
        }
        let now = self.clock.now();
        let pool = self.pool.next_deadline(now).map(|at| at.since(now));
        let held = self.holds.next(now);
        let record = Some(self.recorded.plus(TIME_RECORDED_EVERY).since(now));
        let caller =
            self.waiting.next_deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let clearing = self
            .clearing
            .as_ref()
            .map(|clearing| if self.pool.uncleared() { Duration::ZERO } else { clearing.left() });
        let next =
            [pool, held, record, caller, clearing].into_iter().flatten().min().unwrap_or(SLEEP_MAX);
        next.min(SLEEP_MAX)
    }

    fn open_lease(&self, sequence: Sequence) -> Option<LeaseView> {
        let token = self.pool.token(sequence)?;
        match &token.stage {
            Stage::Leased(lease) => {
                Some(LeaseView::Open { sequence, token: token.id.clone(), lease: lease.clone() })
            }
            Stage::Minted { .. } | Stage::Ready { .. } | Stage::Doomed(_) => None,
        }
    }

    fn lanes()
    -> (mpsc::Sender<Call>, mpsc::Receiver<Call>, mpsc::Sender<Note>, mpsc::Receiver<Note>) {
        let (calls, calls_in) = mpsc::channel(MAILBOX_MAX);
        let (notes, notes_in) = mpsc::channel(MAILBOX_MAX);
        (calls, calls_in, notes, notes_in)
    }
}
