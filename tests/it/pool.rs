//! The pure pool: commands in, events and answers out, and no task, clock or chance in sight.
//!
//! A [`Desk`] is a pool with a calendar and a drawer: it decides and applies one command after another,
//! keeps what a ledger would keep, and audits after each step.

mod audit;
mod clearing;
mod endings;
mod facts;
mod knowledge;
mod leases;
mod model;
mod orders;
mod outcomes;
mod pauses;
mod purge;
mod reconcile;
mod records;
mod trials;

use std::{sync::Arc, time::Duration};

use argospool::domain::{
    ids::{OrderId, Owner, RequestId, Sequence, TokenId},
    liveform::Draft,
    order::{Attempt, OrderState},
    pool::{Command, Effect, Granted, Heard, Policy, Pool, Refusal, Reply, UnderWay, Wanted},
    seal::{LedgerIdentity, Salt, Seal},
    submission::{Fact, FactKind},
    time::Timestamp,
    token::{ClosedLease, Doom, Grant, Labels, Lease, Request, Stage},
};

use crate::links::blank;

use crate::world::policy;
use records::Records;

pub struct Desk {
    pub pool: Pool,
    pub now: Timestamp,
    pub records: Records,
    /// What links are drafted on.
    pub blank: Draft,
    salts: u64,
}

/// An open lease, as its caller was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub sequence: Sequence,
    pub token: TokenId,
    pub lease: Arc<Lease>,
}

impl Desk {
    /// An empty pool that ARGOS has just been asked about, so that nothing but the stock is open.
    pub fn new(policy: Policy) -> Self {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let identity = LedgerIdentity { id: 1, tag: [1; 4], id_key: [2; 16], digest_key: [3; 32] };
        let records = Records::default();
        let pool = Pool::open(policy, Seal::new(&identity), records.restored(now), now);
        let mut desk = Self { pool, now, records, blank: blank(), salts: 0 };
        desk.counted(0, false);
        desk
    }

    /// A pool with `ready` tokens on the shelf, whose key has been checked.
    pub fn stocked(policy: Policy, ready: u32) -> Self {
        let mut desk = Self::new(policy);
        desk.stock(ready);
        desk.tell(&Command::KeyChecked { sequence: Sequence::ZERO, found: Some(true) }).unwrap();
        desk
    }

    /// Decides, applies, commits and audits, as an engine does.
    pub fn tell(&mut self, command: &Command) -> Result<Reply, Refusal> {
        let lines = self.pool.in_question(command);
        let lines: Vec<_> =
            lines.iter().filter_map(|at| self.records.lines.get(at).cloned()).collect();
        let verdict = self.pool.decide_with(command, &lines, self.now)?;
        for event in &verdict.events {
            self.pool.apply(event);
        }
        self.records.commit(&mut self.pool);
        assert_eq!(self.pool.audit(), [], "after {command:?}");
        Ok(verdict.reply)
    }

    /// Lets time pass and does nothing.
    pub fn wait(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    /// Does what is due.
    pub fn sweep(&mut self) {
        for _ in 0..10_000 {
            if !self.pool.sweep_due(self.now) {
                return;
            }
            self.tell(&Command::Sweep).unwrap();
        }
        panic!("a sweep never ends");
    }

    /// Lets time pass, and does then what is due.
    pub fn pass(&mut self, seconds: u64) {
        self.wait(seconds);
        self.sweep();
    }

    /// The process dies, and another one reads what it left behind.
    pub fn reopen(&mut self) {
        let (policy, seal) = (self.pool.policy().clone(), self.pool.seal().clone());
        let restored = self.records.restored(self.remember_after());
        self.pool = Pool::open(policy, seal, restored, self.now);
        assert_eq!(self.pool.audit(), [], "after opening again");
    }

    pub fn remember_after(&self) -> Timestamp {
        self.now.minus(self.pool.policy().request_id_memory)
    }

    pub fn mint(&mut self, tokens: u32) -> OrderId {
        let order = OrderId(self.pool.next());
        let salts = (0..tokens).map(|_| self.salt()).collect();
        self.tell(&Command::Mint { salts }).unwrap();
        order
    }

    pub fn attempt(&mut self, order: OrderId, attempt: Attempt) {
        self.tell(&Command::Attempted { order, attempt }).unwrap();
    }

    /// Puts tokens on the shelf.
    pub fn stock(&mut self, tokens: u32) {
        let mut left = tokens;
        while left > 0 {
            let batch = left.min(500);
            let order = self.mint(batch);
            self.attempt(order, Attempt::Settled);
            left -= batch;
        }
        self.pass(3);
    }

    pub fn wish(&self, owner: &str, request: Option<u128>) -> Wanted {
        self.other_wish(owner, request, b"wish")
    }

    pub fn other_wish(&self, owner: &str, request: Option<u128>, text: &[u8]) -> Wanted {
        let owner = Owner::parse(owner).unwrap();
        let request = request.map(|number| self.request(&owner, number, text));
        Wanted {
            grant: Grant { owner, request, labels: Labels::new() },
            ttl: Duration::from_secs(600),
            draft: Some(self.blank.clone()),
        }
    }

    pub fn request(&self, owner: &Owner, number: u128, text: &[u8]) -> Request {
        let id = RequestId(number);
        let seal = self.pool.seal();
        Request { id, key: seal.request_key(owner, id), digest: seal.digest(text) }
    }

    /// Whether a repeat of this wish would find its lease, open or closed.
    pub fn remembers(&self, wish: &Wanted) -> bool {
        let key = wish.grant.request.unwrap().key;
        let closed = |at| self.records.lines.get(&at).filter(|line| line.asked(key).is_some());
        let recent = |at| closed(at).is_some_and(|line| line.closed >= self.remember_after());
        self.pool.requested(key).is_some() || self.pool.recalled(key).any(recent)
    }

    pub fn take(&mut self, wanted: Vec<Wanted>) -> Result<Vec<Granted>, Refusal> {
        let reply = self.tell(&Command::Lease { wanted })?;
        let Reply::Leases(granted) = reply else { panic!("a wish was answered {reply:?}") };
        Ok(granted)
    }

    /// One lease, open.
    pub fn lease(&mut self, owner: &str, request: Option<u128>) -> Result<Told, Refusal> {
        let wanted = vec![self.wish(owner, request)];
        Ok(told(&self.take(wanted)?[0]))
    }

    pub fn release(&mut self, sequence: Sequence, owner: &str) -> Result<Reply, Refusal> {
        let owner = Some(Owner::parse(owner).unwrap());
        self.tell(&Command::Release { sequence, owner, request: None })
    }

    /// ARGOS tells something at this moment. Whether it was news.
    pub fn fact(&mut self, sequence: Sequence, kind: FactKind) -> bool {
        self.fact_at(sequence, kind, self.now)
    }

    pub fn fact_at(&mut self, sequence: Sequence, kind: FactKind, at: Timestamp) -> bool {
        self.hear(sequence, crate::world::fact(kind, at))
    }

    /// Whether it was news.
    pub fn hear(&mut self, sequence: Sequence, fact: Fact) -> bool {
        let line = self.records.lines.get(&sequence).cloned().map(Arc::new);
        let reply = self.tell(&Command::Fact { sequence, fact, line }).unwrap();
        let Reply::Fact(heard) = reply else { panic!("a fact was answered {reply:?}") };
        heard == Heard::News
    }

    /// ARGOS has deleted these.
    pub fn deleted(&mut self, sequences: Vec<Sequence>) {
        let urgent = |sequence: &&Sequence| {
            matches!(self.pool.token(**sequence).map(|token| &token.stage),
                Some(Stage::Doomed(doom)) if doom.urgent)
        };
        let lines = sequences.iter().filter(urgent);
        let lines =
            lines.filter_map(|sequence| self.records.lines.get(sequence)).cloned().collect();
        self.tell(&Command::Deleted { sequences, done: true, lines }).unwrap();
    }

    pub fn counted(&mut self, tokens: u32, overlapped: bool) {
        self.tell(&Command::Counted { tokens: Some(tokens), overlapped }).unwrap();
    }

    /// The calls that the state asks for, with none under way.
    pub fn effects(&self) -> Vec<Effect> {
        self.pool.outstanding(self.now, &UnderWay::default(), 500)
    }

    pub fn registrations(&self) -> Vec<OrderId> {
        let order =
            |effect| if let Effect::Register { order } = effect { Some(order) } else { None };
        self.effects().into_iter().filter_map(order).collect()
    }

    pub fn deletions(&self) -> Vec<Vec<Sequence>> {
        let sequences =
            |effect| if let Effect::Delete { sequences } = effect { Some(sequences) } else { None };
        self.effects().into_iter().filter_map(sequences).collect()
    }

    /// A deletion failed, or nobody knows.
    pub fn not_deleted(&mut self, sequences: Vec<Sequence>) {
        self.tell(&Command::Deleted { sequences, done: false, lines: Vec::new() }).unwrap();
    }

    pub fn stage(&self, sequence: Sequence) -> &Stage {
        &self.pool.token(sequence).unwrap().stage
    }

    pub fn doom(&self, sequence: Sequence) -> Doom {
        let stage = self.stage(sequence);
        let Stage::Doomed(doom) = stage else { panic!("not doomed: {stage:?}") };
        *doom
    }

    pub fn order_state(&self, order: OrderId) -> OrderState {
        self.pool.order(order).unwrap().state.clone()
    }

    pub fn line(&self, sequence: Sequence) -> &ClosedLease {
        &self.records.lines[&sequence]
    }

    pub fn after(&self, seconds: u64) -> Timestamp {
        self.now.plus(Duration::from_secs(seconds))
    }

    pub fn salt(&mut self) -> Salt {
        self.salts += 1;
        self.salts.to_be_bytes()[3..].try_into().unwrap()
    }
}

pub fn told(granted: &Granted) -> Told {
    match granted {
        Granted::Open { sequence, token, lease } => {
            Told { sequence: *sequence, token: token.clone(), lease: lease.clone() }
        }
        Granted::Past(sequence) => panic!("the lease under {} is closed", sequence.get()),
    }
}

/// The policy of most tests: a small pool that rotates nothing.
pub fn usual() -> Policy {
    policy(500, 100)
}
