//! What the tests put around an engine: a clock that follows tokio's, a scripted supplier, a memory
//! ledger, and ways to wait for a state instead of sleeping.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use argospool::{
    domain::{
        entropy::Entropy,
        ids::{
            Owner, ProjectName, RequestId, Revision, Sequence, SubmissionId, TokenId, TokenPrefix,
        },
        limits::TOKENS_PER_CALL_MAX,
        paging::{Cursor, Days},
        pool::{Event, Policy, ReconcilePolicy, Wanted},
        refill,
        submission::{Fact, FactKind, Marks, Report},
        time::Timestamp,
        token::{ClosedLease, Grant, Labels, Request, Stage},
    },
    engine::{Engine, Handle, LeaseView, Parts, Rejection, Settings, Status},
    port::{
        Clock, Condition, Group, Hold, Ledger, LedgerError, Listing, Observer, Opened, Opening,
        Outcome, Pending, Purpose, Reader, Registered, Resumable, SubmissionsPage, Supplier,
        SupplierHealth, Usage,
    },
    store::memory::Memory,
};
use tokio_util::sync::CancellationToken;

use crate::links::marked;

/// Wall time that follows tokio's clock: under `start_paused` leases and timers move together.
pub struct SimClock {
    base: Mutex<Timestamp>,
    start: tokio::time::Instant,
}

impl SimClock {
    pub fn start() -> Arc<Self> {
        let base = Mutex::new(Timestamp::from_millis(1_800_000_000_000));
        Arc::new(Self { base, start: tokio::time::Instant::now() })
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.base.lock().unwrap().plus(self.start.elapsed())
    }

    fn continue_from(&self, at: Timestamp) {
        let now = self.now();
        let mut base = self.base.lock().unwrap();
        *base = base.plus(at.since(now));
    }
}

/// Repeatable randomness.
pub struct Counting(pub u64);

impl Entropy for Counting {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (self.0 >> 33) as u8;
        }
    }
}

/// Hears everything and remembers nothing.
pub struct Nobody;

impl Observer for Nobody {
    fn committed(&self, _events: &[Event]) {}

    fn group(&self, _commands: usize, _took: Duration) {}

    fn waited(&self, _callers: usize, _waited: Duration) {}
}

/// A call that reached the supplier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    Register(Vec<TokenId>),
    Delete(Vec<TokenId>),
    Count,
    Find(TokenId),
    List(Option<Cursor>),
    Survey(Days, Option<Cursor>),
    Ask(SubmissionId),
}

impl Sent {
    pub fn is_count(&self) -> bool {
        matches!(self, Self::Count)
    }
}

/// A supplier that says what it is told to, and remembers what it was asked. Without a script every
/// call settles.
pub struct Scripted {
    state: Mutex<Script>,
    answered: tokio::sync::Notify,
}

#[derive(Default)]
pub struct Script {
    pub sent: Vec<Sent>,
    pub registrations: VecDeque<Outcome<Registered>>,
    pub deletions: VecDeque<Outcome<()>>,
    pub counts: VecDeque<Outcome<u32>>,
    pub finds: VecDeque<Outcome<bool>>,
    pub listings: VecDeque<Outcome<Listing>>,
    pub surveys: VecDeque<Outcome<SubmissionsPage>>,
    /// What is told of a submission that is asked about.
    pub submissions: Vec<Report>,
    /// Before that is told, these answers are.
    pub answers: VecDeque<Outcome<Option<Report>>>,
    pub known: BTreeSet<TokenId>,
    /// Ids of others.
    pub foreign: u32,
    /// Registrations that are out at this moment, and how often one was made while another of the
    /// same ids was out.
    pub out: BTreeSet<TokenId>,
    pub overlaps: u32,
    pub condition: Option<Condition>,
    /// What is left of the day's calls is not for orders.
    pub none_for_orders: bool,
    /// Registrations, deletions, or questions about submissions are not answered while this is set.
    pub silent: bool,
    pub silent_deletions: bool,
    pub silent_answers: bool,
    /// No call may leave, or none of one purpose.
    pub held: bool,
    pub held_refill: bool,
    pub held_purge: bool,
    pub key_changes: u64,
}

impl Scripted {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), answered: tokio::sync::Notify::new() })
    }

    pub fn script<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap());
        self.answered.notify_waiters();
        result
    }

    /// Waits until the script lets it answer.
    async fn speaks(&self, may: impl Fn(&Script) -> bool) {
        loop {
            let changed = self.answered.notified();
            if may(&self.state.lock().unwrap()) {
                return;
            }
            changed.await;
        }
    }

    pub fn registrations(&self) -> Vec<Vec<TokenId>> {
        let sent = self.script(|script| script.sent.clone());
        let register = |sent| if let Sent::Register(tokens) = sent { Some(tokens) } else { None };
        sent.into_iter().filter_map(register).collect()
    }

    pub fn deletions(&self) -> Vec<Vec<TokenId>> {
        let sent = self.script(|script| script.sent.clone());
        let delete = |sent| if let Sent::Delete(tokens) = sent { Some(tokens) } else { None };
        sent.into_iter().filter_map(delete).collect()
    }
}

impl Supplier for Scripted {
    fn admit(&self, purpose: Purpose) -> Result<(), Hold> {
        let script = self.state.lock().unwrap();
        let refill = script.held_refill && purpose == Purpose::Refill;
        let purge = script.held_purge && purpose == Purpose::Purge;
        if script.held || refill || purge {
            return Err(Hold { retry_after: Duration::from_secs(5) });
        }
        Ok(())
    }

    fn register(&self, tokens: Vec<TokenId>) -> Pending<'_, Outcome<Registered>> {
        let outcome = self.script(|script| {
            script.sent.push(Sent::Register(tokens.clone()));
            let twice = tokens.iter().any(|token| !script.out.insert(token.clone()));
            script.overlaps += u32::from(twice);
            let outcome = script
                .registrations
                .pop_front()
                .unwrap_or(Outcome::Settled(Registered { count: None }));
            if matches!(outcome, Outcome::Settled(_)) {
                script.known.extend(tokens.iter().cloned());
            }
            outcome
        });
        Box::pin(async move {
            self.speaks(|script| !script.silent).await;
            self.script(|script| script.out.retain(|token| !tokens.contains(token)));
            outcome
        })
    }

    fn delete(&self, tokens: Vec<TokenId>) -> Pending<'_, Outcome<()>> {
        let outcome = self.script(|script| {
            script.sent.push(Sent::Delete(tokens.clone()));
            let outcome = script.deletions.pop_front().unwrap_or(Outcome::Settled(()));
            if matches!(outcome, Outcome::Settled(())) {
                tokens.iter().for_each(|token| {
                    script.known.remove(token);
                });
            }
            outcome
        });
        Box::pin(async move {
            self.speaks(|script| !script.silent_deletions).await;
            outcome
        })
    }

    fn count(&self) -> Pending<'_, Outcome<u32>> {
        let outcome = self.script(|script| {
            script.sent.push(Sent::Count);
            let known = u32::try_from(script.known.len()).unwrap() + script.foreign;
            script.counts.pop_front().unwrap_or(Outcome::Settled(known))
        });
        Box::pin(async move { outcome })
    }

    fn find(&self, token: TokenId) -> Pending<'_, Outcome<bool>> {
        let outcome = self.script(|script| {
            script.sent.push(Sent::Find(token.clone()));
            let known = script.known.contains(&token);
            script.finds.pop_front().unwrap_or(Outcome::Settled(known))
        });
        Box::pin(async move { outcome })
    }

    fn list(&self, cursor: Option<Cursor>) -> Pending<'_, Outcome<Listing>> {
        let outcome = self.script(|script| {
            script.sent.push(Sent::List(cursor));
            let all =
                || Listing { tokens: script.known.iter().cloned().collect(), ..Listing::default() };
            script.listings.pop_front().unwrap_or_else(|| Outcome::Settled(all()))
        });
        Box::pin(async move { outcome })
    }

    fn submissions(
        &self,
        days: Days,
        cursor: Option<Cursor>,
    ) -> Pending<'_, Outcome<SubmissionsPage>> {
        let outcome = self.script(|script| {
            script.sent.push(Sent::Survey(days, cursor));
            script.surveys.pop_front().unwrap_or(Outcome::Settled(SubmissionsPage::default()))
        });
        Box::pin(async move { outcome })
    }

    fn submission(&self, id: SubmissionId) -> Pending<'_, Outcome<Option<Report>>> {
        let outcome = self.script(|script| {
            script.sent.push(Sent::Ask(id.clone()));
            let of = |report: &&Report| report.fact.submission.as_ref() == Some(&id);
            let told = Outcome::Settled(script.submissions.iter().find(of).cloned());
            script.answers.pop_front().unwrap_or(told)
        });
        Box::pin(async move {
            self.speaks(|script| !script.silent_answers).await;
            outcome
        })
    }

    fn health(&self) -> SupplierHealth {
        let script = self.state.lock().unwrap();
        SupplierHealth {
            condition: script.condition.unwrap_or(Condition::Up),
            last_success: None,
            next_attempt: None,
            budget: 2_000,
            budget_remaining: 1_000,
            budget_for_orders: if script.none_for_orders { 0 } else { 1_000 },
            batch_limit: TOKENS_PER_CALL_MAX,
            key_changes: script.key_changes,
            simulated: true,
        }
    }
}

/// A memory ledger that is watched, on a volume with as much space as a test wants.
pub struct Watched {
    ledger: Memory,
    pub opens: Arc<AtomicUsize>,
    pub free_bytes: Arc<AtomicU64>,
    /// The most tokens of orders that one group had.
    pub minted_at_once: Arc<AtomicUsize>,
    /// What changed earlier than this is not known any more.
    pub resumable: Arc<Mutex<Resumable>>,
}

impl Watched {
    pub fn new(ledger: Memory) -> Self {
        let free_bytes = Arc::new(AtomicU64::new(u64::MAX));
        let (opens, minted_at_once, resumable) = Default::default();
        Self { ledger, opens, free_bytes, minted_at_once, resumable }
    }
}

impl Ledger for Watched {
    fn open(&mut self, opening: Opening) -> Pending<'_, Result<Opened, LedgerError>> {
        // Bounded, so that an engine that opens without end fails its test.
        assert!(self.opens.fetch_add(1, Ordering::Relaxed) < 1_000, "opened without end");
        self.ledger.open(opening)
    }

    fn commit(&mut self, group: Group) -> Pending<'_, Result<(), LedgerError>> {
        let minted =
            group.tokens.iter().filter(|token| matches!(token.stage, Stage::Minted { .. }));
        self.minted_at_once.fetch_max(minted.count(), Ordering::Relaxed);
        self.ledger.commit(group)
    }

    fn retain(&mut self, before: Timestamp, most: u64) -> Pending<'_, Result<u64, LedgerError>> {
        self.ledger.retain(before, most)
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(WatchedReader {
            reader: self.ledger.reader(),
            free: self.free_bytes.clone(),
            resumable: self.resumable.clone(),
        })
    }
}

struct WatchedReader {
    reader: Arc<dyn Reader>,
    free: Arc<AtomicU64>,
    resumable: Arc<Mutex<Resumable>>,
}

impl Reader for WatchedReader {
    fn line(&self, sequence: Sequence) -> Pending<'_, Result<Option<ClosedLease>, LedgerError>> {
        self.reader.line(sequence)
    }

    fn lines(
        &self,
        from: Sequence,
        limit: usize,
    ) -> Pending<'_, Result<Vec<ClosedLease>, LedgerError>> {
        self.reader.lines(from, limit)
    }

    fn lines_of(
        &self,
        sequences: Vec<Sequence>,
    ) -> Pending<'_, Result<Vec<ClosedLease>, LedgerError>> {
        self.reader.lines_of(sequences)
    }

    fn lines_changed(
        &self,
        after: Revision,
        from: Sequence,
        limit: usize,
    ) -> Pending<'_, Result<Vec<ClosedLease>, LedgerError>> {
        self.reader.lines_changed(after, from, limit)
    }

    fn resumable(&self) -> Resumable {
        let (known, said) = (self.reader.resumable(), *self.resumable.lock().unwrap());
        Resumable {
            epoch: known.epoch.max(said.epoch),
            revision: known.revision.max(said.revision),
        }
    }

    fn usage(&self) -> Usage {
        Usage { free_bytes: self.free.load(Ordering::Relaxed), ..self.reader.usage() }
    }
}

/// Something that ARGOS tells without naming a submission.
pub fn fact(kind: FactKind, at: Timestamp) -> Fact {
    Fact { kind, at, submission: None, updated: None, asked: false }
}

/// The same about a token.
pub fn report(token: &TokenId, kind: FactKind, at: Timestamp) -> Report {
    Report { token: Some(token.clone()), marks: Marks::default(), fact: fact(kind, at) }
}

/// A policy with a small pool and the default times.
pub fn policy(target: u32, low_water: u32) -> Policy {
    Policy {
        refill: refill::Policy::try_new(target, low_water, 500, 4).unwrap(),
        prefix: TokenPrefix::parse("ap-").unwrap(),
        ephemeral: false,
        cap: 100_000,
        reserve: 0,
        settle_delay: Duration::from_secs(3),
        late_copy_delay: Duration::from_secs(120),
        unused_age_max: None,
        entry_window: Duration::from_secs(180),
        session_max: Duration::from_secs(1_800),
        decided_grace: Duration::from_secs(120),
        lapsed_grace: Duration::from_secs(1_200),
        revoked_grace: Duration::ZERO,
        overdue_after: None,
        reconcile: ReconcilePolicy {
            listing_gap: Duration::from_secs(600),
            brake_ratio: 0.05,
            brake_min: 20,
        },
        delete_tries_max: 6,
        cap_pause: Duration::from_secs(120),
        ttl_max: Duration::from_secs(86_400),
        request_id_memory: Duration::from_secs(86_400),
    }
}

pub fn settings() -> Settings {
    Settings {
        waiting_max: 8,
        free_space_min: 0,
        retention: Duration::from_secs(259_200),
        history_max_lines: 1_000_000,
        trials_only: false,
    }
}

/// A running engine with everything around it in reach.
pub struct Bench {
    pub handle: Handle,
    pub supplier: Arc<Scripted>,
    pub stop: CancellationToken,
    pub running: tokio::task::JoinHandle<Result<(), LedgerError>>,
}

impl Bench {
    pub async fn start(policy: Policy, ledger: impl Ledger + 'static) -> Self {
        Self::with(policy, settings(), ledger, Scripted::new()).await
    }

    pub async fn with(
        policy: Policy,
        settings: Settings,
        ledger: impl Ledger + 'static,
        supplier: Arc<Scripted>,
    ) -> Self {
        Self::by(SimClock::start(), policy, settings, ledger, supplier).await
    }

    pub async fn by(
        clock: Arc<dyn Clock>,
        policy: Policy,
        settings: Settings,
        ledger: impl Ledger + 'static,
        supplier: Arc<Scripted>,
    ) -> Self {
        let parts = Parts {
            project: ProjectName::parse("default").unwrap(),
            pid: "pid_test".to_owned(),
            policy,
            settings,
            ledger: Box::new(ledger),
            supplier: supplier.clone(),
            clock,
            entropy: Box::new(Counting(7)),
            observer: Arc::new(Nobody),
        };
        let (engine, handle) = Engine::open(parts).await.unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(engine.run(stop.clone()));
        Self { handle, supplier, stop, running }
    }

    /// Waits until the pool looks as wanted. Bounded in pool time, so that a test ends.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        for _ in 0..100_000 {
            // While the ledger is read again nobody is told anything.
            if let Ok(status) = self.handle.status().await
                && wanted(&status)
            {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never: {what}; last {:?}", self.handle.status().await.unwrap());
    }

    pub async fn filled(&self) -> Status {
        self.until("the pool is filled", |status| status.census.ready >= status.target).await
    }

    /// One lease, without waiting for it.
    pub async fn lease(&self, owner: &str, request: Option<u128>) -> Result<LeaseView, Rejection> {
        self.lease_within(owner, request, Duration::ZERO).await
    }

    pub async fn lease_within(
        &self,
        owner: &str,
        request: Option<u128>,
        wait: Duration,
    ) -> Result<LeaseView, Rejection> {
        let wanted = vec![wish(&self.handle, owner, request)];
        Ok(self.handle.lease(wanted, wait).await?.remove(0))
    }

    /// A caller of its own, who waits for as long as this.
    pub fn caller(
        &self,
        request: Option<u128>,
        wait: Duration,
    ) -> tokio::task::JoinHandle<Result<LeaseView, Rejection>> {
        let handle = self.handle.clone();
        let wanted = vec![wish(&handle, "uid:1", request)];
        tokio::spawn(async move { Ok(handle.lease(wanted, wait).await?.remove(0)) })
    }

    /// Ends the engine as a crash would: nothing is finished, nothing is said.
    pub async fn crash(self) {
        self.running.abort();
        let _ = self.running.await;
    }
}

/// What a task came to. Bounded in pool time, so that a test ends.
pub async fn ended<T>(task: tokio::task::JoinHandle<T>) -> T {
    let bound = Duration::from_secs(3_600);
    tokio::time::timeout(bound, task).await.expect("the task ends within an hour").unwrap()
}

/// What a caller wants. The same number is the same request.
pub fn wish(handle: &Handle, owner: &str, request: Option<u128>) -> Wanted {
    let owner = Owner::parse(owner).unwrap();
    let request = request.map(|number| {
        let id = RequestId(number);
        Request {
            id,
            key: handle.seal().request_key(&owner, id),
            digest: handle.seal().digest(b"wish"),
        }
    });
    Wanted {
        grant: Grant { owner, request, labels: Labels::new() },
        ttl: Duration::from_secs(600),
        draft: Some(marked()),
    }
}
