//! One project at ARGOS: its key, its pace, and the calls that the [`Supplier`] port asks for.
//!
//! A call runs through four hands: [`super::transport`] sends it once, [`super::transfer`] opens what
//! came back sealed, [`super::judge`] says what the end of it means, and here everybody who must know of
//! it is told: the pace, the batch limit, the observer and, when the key was refused or what we sent
//! could not be opened with it, the source of keys. A key that was replaced is used from the next call
//! on; the refused call is not repeated.

mod lessons;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tracing::{Instrument as _, field};

use self::lessons::{impression, label, smaller};
use super::{
    judge::{self, Answer, Exchange},
    pace::{Allowance, Impression, Moment, Pace, PacePolicy, pause_of},
    transfer::{self, Arrived, Shown, Transfer},
    transport::{self, BrokenOff, Call, Heard, Http, Transport, UnusableOptions},
    wire::{
        self, Entry, Operation, Page,
        settings::{ManagementSettings, SETTINGS_QUERY},
        submissions::{SubmissionList, submission_query, submissions_query},
    },
};
use crate::{
    domain::{
        entropy::Entropy,
        envelope::Keyring,
        ids::{ProjectName, SubmissionId, TokenId},
        limits::TOKENS_PER_CALL_MAX,
        paging::{Cursor, Days},
        secret::Secret,
        submission::Report,
        time::Timestamp,
    },
    port::{
        Clock, Current, Hold, Listing, Outcome, Pending, Purpose, Refused, RefusedCause,
        Registered, SubmissionsPage, Supplier, SupplierHealth,
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
    pub transfer: Transfer,
}

/// What the client needs from outside.
pub struct Surroundings {
    /// Whom a line of the log is about.
    pub project: ProjectName,
    pub clock: Arc<dyn Clock>,
    pub entropy: Box<dyn Entropy>,
    pub keys: Arc<dyn KeySource>,
    /// The envelopes of Secure Data Transfer: [`transfer::CIPHER`] under the API key, and the keys
    /// before it to open with. Whoever offers another key in `keys` has changed these before.
    pub envelopes: Current<Keyring>,
    pub observer: Arc<dyn Observer>,
}

/// Where the API key comes from. Read again whenever ARGOS refuses the one in use, or cannot open what
/// was sealed with it, so that a key that was replaced on disk needs no restart.
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
    project: ProjectName,
    transport: Box<dyn Transport>,
    transfer: Transfer,
    clock: Arc<dyn Clock>,
    keys: Arc<dyn KeySource>,
    envelopes: Current<Keyring>,
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
    last_time: Option<TimeTold>,
    simulated: bool,
    shown: Shown,
}

/// What time it was over there when an answer was given, in whole seconds and late by its way here,
/// and on our wall clock when it had arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeTold {
    pub by_argos: Timestamp,
    pub wall: Timestamp,
}

impl Argos {
    /// Calls nobody yet. A rustls provider must be installed for the process.
    pub fn new(options: ArgosOptions, surroundings: Surroundings) -> Result<Self, UnusableOptions> {
        let timeouts = (options.connect_timeout, options.request_timeout);
        let transport = Http::new(&options.api_url, timeouts)?;
        Self::over(Box::new(transport), options, surroundings)
    }

    /// By another way, which has the address and the time-outs for itself.
    pub fn over(
        transport: Box<dyn Transport>,
        options: ArgosOptions,
        surroundings: Surroundings,
    ) -> Result<Self, UnusableOptions> {
        if !transport::can_send(&options.key) {
            return Err(UnusableOptions::Key);
        }
        let Surroundings { project, clock, entropy, keys, envelopes, observer } = surroundings;
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
        let at = Moment { now: clock.now(), wall: clock.wall() };
        let state = Mutex::new(State {
            key: options.key,
            pace: Pace::new(policy, at),
            entropy,
            last_success: None,
            last_time: None,
            simulated: false,
            shown: Shown::default(),
        });
        let batch_limit = AtomicU32::new(TOKENS_PER_CALL_MAX);
        let key_changes = AtomicU64::new(0);
        Ok(Self {
            project,
            transport,
            transfer: options.transfer,
            clock,
            keys,
            envelopes,
            observer,
            state,
            batch_limit,
            key_changes,
        })
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

    /// How the project is set at ARGOS, as far as it says. Whatever becomes of the question, only a
    /// success and a wish for fewer calls count for other calls: no pool depends on this address.
    /// For the caller to admit, as part of [`Purpose::Reconcile`].
    pub async fn settings(&self) -> Outcome<ManagementSettings> {
        let call = Call::asking(Operation::Settings, SETTINGS_QUERY.to_owned());
        self.call(call, judge::settings).await
    }

    /// Whether the last answer that could be either came sealed, which is how Secure Data Transfer is
    /// set at ARGOS; `None` before the first.
    pub fn transfer_seen(&self) -> Option<bool> {
        self.lock().shown.sealed()
    }

    /// Answers that came sealed and that no key opened.
    pub fn unopened(&self) -> u64 {
        self.lock().shown.unopened()
    }

    /// The last time that ARGOS told; `None` before the first.
    pub fn last_time(&self) -> Option<TimeTold> {
        self.lock().last_time
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
        mut call: Call,
        judge: impl FnOnce(Exchange<'_>) -> Outcome<T>,
    ) -> Outcome<T> {
        let operation = call.operation;
        let key = self.lock().key.clone();
        call.body = call.body.map(|body| self.seal(body));
        let sealed = self.transfer.seal_requests && call.body.is_some();
        let span = tracing::debug_span!(
            "argos_call",
            project = self.project.as_str(),
            operation = operation.as_str(),
            result = field::Empty,
        );
        let began = Instant::now();
        let mut answered = self.transport.send(call, &key).instrument(span.clone()).await;
        let took = began.elapsed();

        let wall = self.clock.wall();
        if let Ok(answer) = &answered {
            self.lock().simulated = answer.simulated;
        }
        let date = answered.as_ref().ok().and_then(|answer| answer.date);
        if let Some(date) = date {
            self.clock.told(date);
            self.lock().last_time = Some(TimeTold { by_argos: date, wall });
        }
        let opened = answered.as_mut().is_ok_and(|answer| self.open(answer));
        let outcome = judge(match &answered {
            Ok(answer) => Exchange::Answered(Answer {
                status: answer.status,
                retry_after: answer.retry_after.as_deref(),
                at: date.unwrap_or(wall),
                body: &answer.body,
                sealed: sealed || opened,
            }),
            Err(BrokenOff::NotSent) => Exchange::NotSent,
            Err(BrokenOff::Unanswered) => Exchange::Unanswered,
        });

        let impression = impression(operation, &outcome);
        self.learn(&outcome, impression, wall);
        if matches!(impression, Impression::KeyRefused | Impression::TransferRefused) {
            self.read_key_again(&key);
        }
        let result = label(&outcome);
        self.observer.called(operation, result, took);
        span.record("result", result);
        let _within = span.enter();
        tracing::debug!(seconds = took.as_secs_f64(), result, "ARGOS was called");
        outcome
    }

    fn seal(&self, body: String) -> String {
        let envelopes = (self.envelopes)();
        let nonce = envelopes.cipher().nonce(self.lock().entropy.as_mut());
        self.transfer.seal(body, &envelopes, &nonce)
    }

    /// Puts what is inside an envelope in its place, and says whether there was one that opened.
    fn open(&self, answer: &mut Heard) -> bool {
        let arrived = transfer::open(&answer.body, &(self.envelopes)());
        let surprise = self.lock().shown.hear(&arrived, answer.status, self.transfer);
        if let Some(surprise) = surprise {
            tracing::warn!(project = %self.project, "{}", surprise.as_str());
        }
        match arrived {
            Arrived::Opened(content) => {
                answer.body = content;
                true
            }
            Arrived::Plain | Arrived::Unopened | Arrived::Neither => false,
        }
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
        Moment { now: self.clock.now(), wall: self.clock.wall() }
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
            budget: state.pace.budget(),
            budget_remaining: state.pace.budget_remaining(at),
            budget_for_orders: state.pace.budget_for(Purpose::Refill, at),
            batch_limit: self.batch_limit(),
            key_changes: self.key_changes(),
            simulated: state.simulated,
        }
    }
}

/// Neither the key nor anything that was said with it.
impl fmt::Debug for Argos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Argos(…)")
    }
}

#[cfg(test)]
mod tests;
