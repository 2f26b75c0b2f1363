//! One project at ARGOS: its key, its pace, and the calls that the [`Supplier`] port asks for.
//!
//! A call runs through three hands: [`super::transport`] sends it once, [`super::judge`] says what the
//! end of it means, and here everybody who must know of it is told: the pace, the batch limit, the
//! observer and, when the key was refused, the source of keys. A key that was replaced is used from
//! the next call on; the refused call is not repeated.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use super::{
    judge::{self, Answer, Exchange},
    pace::{Allowance, Impression, Moment, Pace, PacePolicy, pause_of},
    transport::{self, BrokenOff, Call, Transport, UnusableOptions},
    wire::{
        self, Entry, Operation, Page,
        submissions::{SubmissionList, submission_query, submissions_query},
    },
};
use crate::{
    domain::{
        entropy::Entropy,
        ids::{SubmissionId, TokenId},
        limits::TOKENS_PER_CALL_MAX,
        paging::{Cursor, Days},
        secret::Secret,
        submission::Report,
        time::Timestamp,
    },
    port::{
        Clock, Doubtful, DoubtfulCause, Hold, Listing, Outcome, Pending, Purpose, Refused,
        RefusedCause, Registered, SubmissionsPage, Supplier, SupplierHealth,
    },
};

/// What a project says about its ARGOS.
#[derive(Clone, Debug)]
pub struct ArgosOptions {
    /// The base address, with the version: `https://rest-api.argosidentity.com/v3`.
    pub api_url: String,
    pub key: Secret,
    pub connect_timeout: Duration,
    /// From the first attempt to connect to the last byte of the answer.
    pub request_timeout: Duration,
    pub calls_per_second: f64,
    pub calls_burst: u32,
    pub calls_per_day: u32,
    pub purge_share: f64,
    pub reconcile_share: f64,
    pub outcome_share: f64,
    pub backoff_min: Duration,
    pub backoff_max: Duration,
    pub circuit_failures: u32,
    pub circuit_open: Duration,
}

/// What the client needs from outside.
pub struct Surroundings {
    pub clock: Arc<dyn Clock>,
    pub entropy: Box<dyn Entropy>,
    pub keys: Arc<dyn KeySource>,
    pub observer: Arc<dyn Observer>,
}

/// Where the API key comes from. Read again whenever ARGOS refuses the one in use, so that a key that
/// was replaced on disk needs no restart.
pub trait KeySource: Send + Sync {
    /// `None` where there is nothing to read it from, or it cannot be read. Must not take long.
    fn read(&self) -> Option<Secret>;
}

impl<F: Fn() -> Option<Secret> + Send + Sync> KeySource for F {
    fn read(&self) -> Option<Secret> {
        self()
    }
}

/// Who counts calls.
pub trait Observer: Send + Sync {
    /// One call ended. `result` is a metric label of a closed list.
    fn called(&self, operation: Operation, result: &'static str, took: Duration);
}

/// One project at ARGOS.
pub struct Argos {
    transport: Transport,
    clock: Arc<dyn Clock>,
    keys: Arc<dyn KeySource>,
    observer: Arc<dyn Observer>,
    state: Mutex<State>,
    batch_limit: AtomicU32,
    key_changes: AtomicU64,
}

struct State {
    key: Secret,
    pace: Pace,
    entropy: Box<dyn Entropy>,
    last_success: Option<Timestamp>,
}

impl Argos {
    /// Calls nobody yet. A rustls provider must be installed for the process.
    pub fn new(options: ArgosOptions, surroundings: Surroundings) -> Result<Self, UnusableOptions> {
        let timeouts = (options.connect_timeout, options.request_timeout);
        let transport = Transport::new(&options.api_url, timeouts)?;
        if !transport::can_send(&options.key) {
            return Err(UnusableOptions::Key);
        }
        let Surroundings { clock, entropy, keys, observer } = surroundings;
        let policy = PacePolicy {
            allowance: Allowance {
                calls_per_second: options.calls_per_second,
                calls_burst: options.calls_burst,
                calls_per_day: options.calls_per_day,
                purge_share: options.purge_share,
                reconcile_share: options.reconcile_share,
                outcome_share: options.outcome_share,
            },
            backoff_min: options.backoff_min,
            backoff_max: options.backoff_max,
            circuit_failures: options.circuit_failures,
            circuit_open: options.circuit_open,
        };
        let at = Moment { now: clock.now(), wall: wall_time() };
        let state = Mutex::new(State {
            key: options.key,
            pace: Pace::new(policy, at),
            entropy,
            last_success: None,
        });
        let batch_limit = AtomicU32::new(TOKENS_PER_CALL_MAX);
        let key_changes = AtomicU64::new(0);
        Ok(Self { transport, clock, keys, observer, state, batch_limit, key_changes })
    }

    /// Uses another key from the next call on. Says whether it is another one.
    pub fn set_key(&self, key: Secret) -> bool {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.key == key || !transport::can_send(&key) {
            return false;
        }
        state.key = key;
        state.pace.key_replaced(now);
        self.key_changes.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// How often the key was replaced. After each time one Ready token must be read back, because the
    /// new key may be that of another project.
    pub fn key_changes(&self) -> u64 {
        self.key_changes.load(Ordering::Relaxed)
    }

    /// How many ids one call may carry, as far as we were taught. It never rises again.
    pub fn batch_limit(&self) -> u32 {
        self.batch_limit.load(Ordering::Relaxed)
    }

    /// What ARGOS knows about one id; `None` where it does not know it.
    pub async fn look_up(&self, token: &TokenId) -> Outcome<Option<Entry>> {
        let call = Call::asking(Operation::Find, wire::find_query(token));
        self.call(call, |exchange| judge::find(exchange, token)).await
    }

    /// One page of the listing, the first one without a cursor.
    pub async fn list_page(&self, cursor: Option<Cursor>) -> Outcome<Page> {
        let query = cursor.map(|cursor| wire::list_query(&cursor)).unwrap_or_default();
        self.call(Call::asking(Operation::List, query), judge::list).await
    }

    /// One page of the submissions that were created on these days, the first one without a cursor.
    pub async fn submission_list(
        &self,
        days: Days,
        cursor: Option<Cursor>,
    ) -> Outcome<SubmissionList> {
        let query = submissions_query(days, cursor.as_ref());
        let call = Call::asking(Operation::ListSubmissions, query);
        self.call(call, |exchange| judge::submissions(exchange, self.clock.now())).await
    }

    /// A call that carries ids. None, or more than ARGOS takes, is turned down here (U1).
    async fn send_batch<T>(
        &self,
        operation: Operation,
        mut tokens: Vec<TokenId>,
        judge: impl Fn(Exchange<'_>, usize) -> Outcome<T>,
    ) -> Outcome<T> {
        // What ARGOS does about an id that is named twice is not documented.
        tokens.sort_unstable();
        tokens.dedup();
        if tokens.is_empty() {
            return Outcome::Refused(Refused { cause: RefusedCause::Request, retry_after: None });
        }
        if tokens.len() > TOKENS_PER_CALL_MAX as usize {
            return Outcome::Refused(Refused { cause: RefusedCause::TooMany, retry_after: None });
        }
        let body = Some(wire::batch_body(&tokens));
        let call = Call { operation, query: String::new(), body };
        let outcome = self.call(call, |exchange| judge(exchange, tokens.len())).await;
        if let Outcome::Refused(Refused { cause: RefusedCause::TooMany, .. }) = outcome {
            self.batch_limit.fetch_min(smaller(tokens.len()), Ordering::Relaxed);
        }
        outcome
    }

    /// Makes one call, and lets everybody know how it ended.
    async fn call<T>(
        &self,
        call: Call,
        judge: impl FnOnce(Exchange<'_>) -> Outcome<T>,
    ) -> Outcome<T> {
        let operation = call.operation;
        let key = self.lock().key.clone();
        let began = Instant::now();
        let answered = self.transport.send(call, &key).await;
        let took = began.elapsed();

        let wall = wall_time();
        let date = answered.as_ref().ok().and_then(|answer| answer.date);
        if let Some(date) = date {
            self.clock.told(date);
        }
        let outcome = judge(match &answered {
            Ok(answer) => Exchange::Answered(Answer {
                status: answer.status,
                retry_after: answer.retry_after.as_deref(),
                at: date.unwrap_or(wall),
                body: &answer.body,
            }),
            Err(BrokenOff::NotSent) => Exchange::NotSent,
            Err(BrokenOff::Unanswered) => Exchange::Unanswered,
        });

        let impression = impression(operation, &outcome);
        self.learn(&outcome, impression, wall);
        if impression == Impression::KeyRefused {
            self.read_key_again(&key);
        }
        self.observer.called(operation, label(&outcome), took);
        outcome
    }

    fn learn<T>(&self, outcome: &Outcome<T>, impression: Impression, wall: Timestamp) {
        let now = self.clock.now();
        let mut state = self.lock();
        let State { pace, entropy, .. } = &mut *state;
        pace.hear(impression, pause_of(outcome), now, entropy.as_mut());
        if let Outcome::Settled(_) = outcome {
            state.last_success = Some(wall);
        }
    }

    /// The key `refused` was refused: there may be a newer one, and somebody may have set it while
    /// this call was out.
    fn read_key_again(&self, refused: &Secret) {
        if let Some(key) = self.keys.read()
            && key != *refused
        {
            self.set_key(key);
        }
        let now = self.clock.now();
        let mut state = self.lock();
        if state.key != *refused {
            state.pace.key_replaced(now);
        }
    }

    fn moment(&self) -> Moment {
        Moment { now: self.clock.now(), wall: wall_time() }
    }

    /// Nothing that can panic runs under the lock, and no state of it is half a state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Supplier for Argos {
    fn admit(&self, purpose: Purpose) -> Result<(), Hold> {
        let at = self.moment();
        self.lock().pace.admit(purpose, at)
    }

    fn register(&self, tokens: Vec<TokenId>) -> Pending<'_, Outcome<Registered>> {
        Box::pin(self.send_batch(Operation::Register, tokens, judge::register))
    }

    fn delete(&self, tokens: Vec<TokenId>) -> Pending<'_, Outcome<()>> {
        Box::pin(self.send_batch(Operation::Delete, tokens, judge::delete))
    }

    fn count(&self) -> Pending<'_, Outcome<u32>> {
        Box::pin(
            self.call(Call::asking(Operation::Count, wire::COUNT_QUERY.to_owned()), judge::count),
        )
    }

    fn find(&self, token: TokenId) -> Pending<'_, Outcome<bool>> {
        Box::pin(async move {
            match self.look_up(&token).await {
                Outcome::Settled(entry) => Outcome::Settled(entry.is_some()),
                Outcome::Refused(refused) => Outcome::Refused(refused),
                Outcome::Doubtful(doubtful) => Outcome::Doubtful(doubtful),
            }
        })
    }

    fn list(&self, cursor: Option<Cursor>) -> Pending<'_, Outcome<Listing>> {
        Box::pin(async move {
            match self.list_page(cursor).await {
                Outcome::Settled(page) => Outcome::Settled(Listing {
                    tokens: page.entries.into_iter().map(|entry| entry.token).collect(),
                    unreadable: page.unreadable,
                    next: page.next,
                }),
                Outcome::Refused(refused) => Outcome::Refused(refused),
                Outcome::Doubtful(doubtful) => Outcome::Doubtful(doubtful),
            }
        })
    }

    fn submissions(
        &self,
        days: Days,
        cursor: Option<Cursor>,
    ) -> Pending<'_, Outcome<SubmissionsPage>> {
        Box::pin(async move {
            match self.submission_list(days, cursor).await {
                Outcome::Settled(SubmissionList { reports, next, .. }) => {
                    Outcome::Settled(SubmissionsPage { reports, next })
                }
                Outcome::Refused(refused) => Outcome::Refused(refused),
                Outcome::Doubtful(doubtful) => Outcome::Doubtful(doubtful),
            }
        })
    }

    fn submission(&self, id: SubmissionId) -> Pending<'_, Outcome<Option<Report>>> {
        Box::pin(async move {
            let call = Call::asking(Operation::FindSubmission, submission_query(&id));
            self.call(call, |exchange| judge::submission(exchange, &id, self.clock.now())).await
        })
    }

    fn health(&self) -> SupplierHealth {
        let at = self.moment();
        let state = self.lock();
        SupplierHealth {
            condition: state.pace.condition(),
            last_success: state.last_success,
            next_attempt: state.pace.next_attempt(at.now),
            budget_remaining: state.pace.budget_remaining(at),
            batch_limit: self.batch_limit(),
            key_changes: self.key_changes(),
        }
    }
}

/// Neither the key nor anything that was said with it.
impl fmt::Debug for Argos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Argos(…)")
    }
}

/// How ARGOS looks after a call. What it writes about submissions is full of things that we know
/// little of, and whoever cannot read it must not stop registering tokens for that.
fn impression<T>(operation: Operation, outcome: &Outcome<T>) -> Impression {
    match (operation, outcome) {
        (
            Operation::FindSubmission | Operation::ListSubmissions,
            Outcome::Doubtful(Doubtful { cause: DoubtfulCause::Unclear, .. }),
        ) => Impression::Nothing,
        (_, outcome) => Impression::of(outcome),
    }
}

/// The result of a call as a metric label.
fn label<T>(outcome: &Outcome<T>) -> &'static str {
    match outcome {
        Outcome::Settled(_) => "settled",
        Outcome::Refused(refused) => match refused.cause {
            RefusedCause::NotSent => "not_sent",
            RefusedCause::Key => "key_refused",
            RefusedCause::Address => "address_refused",
            RefusedCause::Throttled => "throttled",
            RefusedCause::Request => "request_refused",
            RefusedCause::TooMany => "too_many",
        },
        Outcome::Doubtful(doubtful) => match doubtful.cause {
            DoubtfulCause::CapReached => "cap_reached",
            DoubtfulCause::Unanswered => "unanswered",
            DoubtfulCause::Failed => "failed",
            DoubtfulCause::Unclear => "unclear",
        },
    }
}

/// The next smaller batch to try: 250, then the 100 that ARGOS once allowed (contract 1.1), then half.
fn smaller(batch: usize) -> u32 {
    match u32::try_from(batch).unwrap_or(u32::MAX) {
        251.. => 250,
        101..=250 => 100,
        batch => (batch / 2).max(1),
    }
}

fn wall_time() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::ZERO.plus(since_epoch)
}

#[cfg(test)]
mod tests;
