//! Judges commands. Reads only; what it returns is folded in by [`Pool::apply`].

use std::{sync::Arc, time::Duration};

use super::{
    Command, Count, Event, Fact, FactKind, Granted, KeyCheck, Pool, Refusal, Reply, Wanted,
    apply::changes_at,
};
use crate::domain::{
    ids::{OrderId, Owner, Revision, Sequence},
    invariant::{Breach, Promise},
    limits::{ORDER_AGE_MAX, ORDER_ATTEMPTS_MAX, SWEEP_MAX},
    order::{Attempt, Doubt, Order, OrderState},
    pause::{Activity, Pause},
    seal::Salt,
    time::Timestamp,
    token::{
        ClosedLease, Decided, Doom, DoomCause, Ending, Grant, Holder, Lease, Request, Stage,
        Started, Token,
    },
};

/// What a command comes to: events to apply, and the answer to hold until they are durable.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub events: Vec<Event>,
    pub reply: Reply,
}

impl Verdict {
    fn done(events: Vec<Event>) -> Self {
        Self { events, reply: Reply::Done }
    }
}

/// Repeats of an order whose answers contradict it, before it is given up.
const UNCLEAR_MAX: u32 = 3;

impl Pool {
    /// Judges a command against the state as it is, uncommitted changes included.
    pub fn decide(&self, command: &Command, now: Timestamp) -> Result<Verdict, Refusal> {
        match command {
            Command::Lease { wanted } => self.decide_lease(wanted, now),
            Command::Release { sequence, owner, request } => {
                self.release(*sequence, owner.as_ref(), *request, now)
            }
            Command::Fact { sequence, fact, line } => {
                Ok(self.fact(*sequence, fact, line.as_deref(), now))
            }
            Command::Mint { salts } => Ok(Verdict::done(vec![self.mint(salts, now)])),
            Command::Attempted { order, attempt } => {
                Ok(Verdict::done(self.attempted(*order, *attempt, now)))
            }
            Command::Deleted { sequences, done } => Ok(Verdict::done(vec![if *done {
                Event::Deleted { sequences: sequences.clone() }
            } else {
                Event::DeletionFailed { sequences: sequences.clone(), at: now }
            }])),
            Command::Counted { tokens, overlapped } => {
                let count = tokens.map(|reported| Count {
                    reported,
                    at: now,
                    drift: (!overlapped).then(|| i64::from(reported) - i64::from(self.certain())),
                });
                Ok(Verdict::done(vec![Event::Counted { count }]))
            }
            Command::KeyChecked { sequence, found } => {
                Ok(Verdict::done(self.key_checked(*sequence, *found)))
            }
            Command::KeyReplaced => {
                let check = KeyCheck::Open { missing: 0 };
                Ok(Verdict::done(vec![Event::KeyChecked { check }, Event::CountWanted { at: now }]))
            }
            Command::WantCount => Ok(Verdict::done(vec![Event::CountWanted { at: now }])),
            Command::Forget => {
                let before = now.minus(self.policy.request_id_memory);
                Ok(Verdict::done(vec![Event::Forgotten { before }]))
            }
            Command::Extra { tokens } => {
                Ok(Verdict::done(vec![Event::ExtraOrdered { tokens: *tokens }]))
            }
            Command::Pause { activities, reason, by } => {
                Ok(Verdict::done(self.pausing(activities, reason, by, now)))
            }
            Command::Resume { activities } => Ok(Verdict::done(self.resuming(activities))),
            Command::Suspect { below } => Ok(Verdict::done(self.suspect(*below, now))),
            Command::Breached { breaches } => {
                let breached = |breach: &Breach| Event::Breached { breach: breach.clone() };
                Ok(Verdict::done(breaches.iter().map(breached).collect()))
            }
            Command::Sweep => Ok(Verdict::done(self.sweep(now))),
        }
    }

    fn decide_lease(&self, wanted: &[Wanted], now: Timestamp) -> Result<Verdict, Refusal> {
        let mut stock = self.ready.iter().filter_map(|sequence| self.tokens.get(sequence));
        let mut events = Vec::new();
        let mut granted = Vec::with_capacity(wanted.len());
        for wish in wanted {
            if let Some(known) = self.replay(&wish.grant)? {
                granted.push(known);
                continue;
            }
            // A repeat is answered whatever has happened since; a new lease is not given then.
            if self.halted() {
                return Err(Refusal::Halted);
            }
            if self.paused(Activity::Leasing) {
                return Err(Refusal::Paused);
            }
            // The lowest sequence that lives long enough; younger ones behind it may do.
            let token =
                stock.find(|token| self.outlives(token, now, wish.ttl)).ok_or(Refusal::Empty)?;
            let url = self.policy.form.url(&token.id, &wish.query);
            let lease = Arc::new(Lease {
                issued: now,
                deadline: now.plus(wish.ttl),
                started: None,
                holder: Holder::Caller { grant: wish.grant.clone(), url },
            });
            let sequence = token.sequence;
            granted.push(Granted::Open { sequence, token: token.id.clone(), lease: lease.clone() });
            events.push(Event::Leased { sequence, lease });
        }
        Ok(Verdict { events, reply: Reply::Leases(granted) })
    }

    /// L3: what an earlier request with this id was given.
    fn replay(&self, grant: &Grant) -> Result<Option<Granted>, Refusal> {
        let Some(request) = grant.request else { return Ok(None) };
        let Some(known) = self.requests.get(&request.key) else { return Ok(None) };
        if known.digest != request.digest {
            return Err(Refusal::RequestIdReused);
        }
        let open = self.tokens.get(&known.sequence).and_then(|token| match &token.stage {
            Stage::Leased(lease) => Some(Granted::Open {
                sequence: known.sequence,
                token: token.id.clone(),
                lease: lease.clone(),
            }),
            Stage::Minted { .. } | Stage::Ready { .. } | Stage::Doomed(_) => None,
        });
        Ok(Some(open.unwrap_or(Granted::Past(known.sequence))))
    }

    fn outlives(&self, token: &Token, now: Timestamp, ttl: Duration) -> bool {
        self.policy.unused_age_max.is_none_or(|age| now.plus(ttl) <= token.minted.plus(age))
    }

    fn release(
        &self,
        sequence: Sequence,
        owner: Option<&Owner>,
        request: Option<Request>,
        now: Timestamp,
    ) -> Result<Verdict, Refusal> {
        if let Some(request) = request
            && let Some(known) = self.requests.get(&request.key)
        {
            if known.digest != request.digest {
                return Err(Refusal::RequestIdReused);
            }
            return Ok(Verdict { events: Vec::new(), reply: Reply::Past(known.sequence) });
        }
        let (_, lease) = self.lease(sequence).ok_or(Refusal::NotOpen)?;
        let Holder::Caller { grant, .. } = &lease.holder else { return Err(Refusal::NotOpen) };
        if owner.is_some_and(|owner| *owner != grant.owner) {
            return Err(Refusal::NotOpen);
        }
        if lease.started.is_some() {
            return Err(Refusal::LeaseStarted);
        }
        let mut line = closed(sequence, lease, Ending::Released, now);
        line.closer = request;
        let doom = Doom { cause: DoomCause::LeaseClosed, since: now, not_before: now, attempts: 0 };
        let reply = Reply::Closed(Box::new(line.clone()));
        Ok(Verdict { events: vec![Event::Closed { line, doom }], reply })
    }

    fn fact(
        &self,
        sequence: Sequence,
        fact: &Fact,
        line: Option<&ClosedLease>,
        now: Timestamp,
    ) -> Verdict {
        let events = match self.tokens.get(&sequence).map(|token| &token.stage) {
            Some(Stage::Leased(lease)) => self.fact_of_open(sequence, lease, fact, now),
            Some(Stage::Minted { .. } | Stage::Ready { .. }) => {
                self.fact_before_lease(sequence, fact, now)
            }
            Some(Stage::Doomed(_)) | None => {
                line.and_then(|line| self.fact_of_closed(line, fact)).into_iter().collect()
            }
        };
        let reply = Reply::Fact { news: !events.is_empty() };
        Verdict { events, reply }
    }

    fn fact_of_open(
        &self,
        sequence: Sequence,
        lease: &Lease,
        fact: &Fact,
        now: Timestamp,
    ) -> Vec<Event> {
        let started = self.earliest(lease.started.as_ref(), fact);
        match fact.kind {
            FactKind::Started if lease.started.as_ref() == Some(&started) => Vec::new(),
            FactKind::Started => vec![Event::Started { sequence, started }],
            FactKind::Decided(decision) => {
                let mut line = closed(sequence, lease, Ending::Decided, now);
                line.started = Some(started);
                line.decided = Some(Decided { decision, at: fact.at });
                let not_before = now.plus(self.policy.decided_grace);
                let doom =
                    Doom { cause: DoomCause::LeaseClosed, since: now, not_before, attempts: 0 };
                vec![Event::Closed { line, doom }]
            }
        }
    }

    /// Somebody uses a token that we never handed out: it may have been shown, and by whom we cannot
    /// know (L1, L2).
    fn fact_before_lease(&self, sequence: Sequence, fact: &Fact, now: Timestamp) -> Vec<Event> {
        let lease = Lease { started: Some(self.earliest(None, fact)), ..self.presumed(now) };
        let evidence =
            format!("ARGOS reports the use of sequence {}, which was not leased", sequence.get());
        let breach = Breach { promise: Promise::L1, evidence };
        let leased = Event::Leased { sequence, lease: lease.clone().into() };
        let mut events = vec![Event::Breached { breach }, leased];
        if let FactKind::Decided(_) = fact.kind {
            events.extend(self.fact_of_open(sequence, &lease, fact, now));
        }
        events
    }

    fn fact_of_closed(&self, line: &ClosedLease, fact: &Fact) -> Option<Event> {
        let mut merged = line.clone();
        merged.started = Some(self.earliest(line.started.as_ref(), fact));
        if let FactKind::Decided(decision) = fact.kind
            && line.decided.is_none_or(|known| decision.supersedes(known.decision))
        {
            merged.decided = Some(Decided { decision, at: fact.at });
        }
        (merged != *line).then_some(Event::LateFact { line: merged })
    }

    /// A sign of use never moves the first use to a later time.
    fn earliest(&self, known: Option<&Started>, fact: &Fact) -> Started {
        let at = known.map_or(fact.at, |known| known.at.min(fact.at));
        Started {
            at,
            entry_ends: at.plus(self.policy.entry_window),
            session_ends: at.plus(self.policy.session_max),
            submission: known
                .and_then(|known| known.submission.clone())
                .or_else(|| fact.submission.clone()),
        }
    }

    fn presumed(&self, now: Timestamp) -> Lease {
        let deadline = now.plus(self.policy.ttl_max);
        Lease { issued: now, deadline, started: None, holder: Holder::Presumed }
    }

    fn mint(&self, salts: &[Salt], now: Timestamp) -> Event {
        let id = OrderId(self.next);
        let tokens: Vec<Token> = (0..)
            .zip(salts)
            .map(|(step, salt)| {
                let sequence = self.next.plus(step);
                Token {
                    sequence,
                    id: self.seal.token_id(&self.policy.prefix, sequence, *salt),
                    minted: now,
                    revision: Revision::default(),
                    stage: Stage::Minted { order: id },
                }
            })
            .collect();
        let order = Order {
            id,
            tokens: u32::try_from(tokens.len()).expect("an order fits one call"),
            minted: now,
            revision: Revision::default(),
            state: OrderState::Open { not_before: now, doubt: None },
        };
        Event::Minted { order, tokens }
    }

    fn attempted(&self, id: OrderId, attempt: Attempt, now: Timestamp) -> Vec<Event> {
        // An answer that comes twice, or for an order that was given up, says nothing new.
        let Some(Order { state: OrderState::Open { doubt, .. }, .. }) = self.orders.get(&id) else {
            return Vec::new();
        };
        let unanswered = doubt.and_then(|doubt| doubt.unanswered);
        let no_late_copy = unanswered.map_or(now, |at| at.plus(self.policy.late_copy_delay));
        let give_up = |not_before| Event::OrderGivenUp {
            order: id,
            doom: Doom { cause: DoomCause::Cancelled, since: now, not_before, attempts: 0 },
        };
        match attempt {
            Attempt::Settled => {
                let ripe = now.plus(self.policy.settle_delay).max(no_late_copy);
                vec![Event::OrderSettled { order: id, ripe }]
            }
            Attempt::Refused => {
                let not_before = now.plus(Duration::from_secs(2));
                vec![Event::OrderRefused { order: id, not_before }]
            }
            // Smaller orders take its place. Nobody ever heard of its ids, unless there was doubt.
            Attempt::TooMany if doubt.is_none() => vec![Event::OrderDropped { order: id }],
            Attempt::TooMany => vec![give_up(no_late_copy.max(now))],
            // It may have stored a part. There is no room for the rest, so all of it goes.
            Attempt::CapReached => vec![
                Event::CapReached { until: now.plus(self.policy.cap_pause) },
                Event::CountWanted { at: now },
                give_up(no_late_copy.max(now)),
            ],
            Attempt::Unclear | Attempt::Unanswered => {
                let known = doubt.unwrap_or(Doubt { since: now, unanswered: None, attempts: 0 });
                let lost = attempt == Attempt::Unanswered;
                let unanswered = if lost { Some(now) } else { unanswered };
                let attempts = known.attempts + 1;
                let most = if lost { ORDER_ATTEMPTS_MAX } else { UNCLEAR_MAX + 1 };
                if attempts >= most || now.since(known.since) >= ORDER_AGE_MAX {
                    let late = unanswered.map_or(now, |at| at.plus(self.policy.late_copy_delay));
                    return vec![give_up(late)];
                }
                let doubt = Doubt { since: known.since, unanswered, attempts };
                let not_before = now.plus(order_backoff(attempts));
                vec![Event::OrderDoubted { order: id, doubt, not_before }]
            }
        }
    }

    fn key_checked(&self, sequence: Sequence, found: Option<bool>) -> Vec<Event> {
        let still_ready = self.ready.contains(&sequence);
        match found {
            // A token that was leased meanwhile may be gone for good reasons.
            Some(found) if found || still_ready => {
                vec![Event::KeyChecked { check: self.key_check.after(found) }]
            }
            Some(_) | None => Vec::new(),
        }
    }

    fn pausing(
        &self,
        activities: &[Activity],
        reason: &str,
        by: &str,
        now: Timestamp,
    ) -> Vec<Event> {
        let pause = Pause { reason: reason.to_owned(), by: by.to_owned(), since: now };
        let new = activities.iter().filter(|activity| !self.paused(**activity));
        new.map(|activity| Event::Paused { activity: *activity, pause: pause.clone() }).collect()
    }

    fn resuming(&self, activities: &[Activity]) -> Vec<Event> {
        let mut events: Vec<_> = activities
            .iter()
            .filter(|activity| self.paused(**activity))
            .map(|activity| Event::Resumed { activity: *activity })
            .collect();
        if activities.contains(&Activity::Leasing) && (self.halted() || !self.breaches.is_empty()) {
            events.push(Event::Cleared);
        }
        events
    }

    fn suspect(&self, below: Sequence, now: Timestamp) -> Vec<Event> {
        let lease = Arc::new(self.presumed(now));
        let leased =
            |sequence: &Sequence| Event::Leased { sequence: *sequence, lease: lease.clone() };
        self.ready.range(..below).take(SWEEP_MAX).map(leased).collect()
    }

    /// What is due at `now`, at most [`SWEEP_MAX`] events; the rest is due still.
    fn sweep(&self, now: Timestamp) -> Vec<Event> {
        let ripe = self.orders.values().filter_map(|order| match order.state {
            OrderState::Settled { ripe } if ripe <= now => {
                Some(Event::OrderReady { order: order.id, at: now })
            }
            OrderState::Settled { .. } | OrderState::Open { .. } => None,
        });
        let ended = self
            .due
            .range(..=(now, Sequence::MAX))
            .filter_map(|(_, sequence)| Some((*sequence, self.lease(*sequence)?.1)))
            .map(|(sequence, lease)| self.ended(sequence, lease, now));
        let aged = self
            .ready
            .iter()
            .filter_map(|sequence| self.tokens.get(sequence))
            .take_while(|token| !self.outlives(token, now, Duration::ZERO))
            .map(|token| {
                let doom =
                    Doom { cause: DoomCause::Aged, since: now, not_before: now, attempts: 0 };
                Event::Aged { sequence: token.sequence, doom }
            });
        ripe.take(1).chain(ended).chain(aged).take(SWEEP_MAX).collect()
    }

    fn ended(&self, sequence: Sequence, lease: &Lease, now: Timestamp) -> Event {
        debug_assert!(changes_at(lease) <= now);
        let (ending, grace) = if lease.started.is_some() {
            (Ending::Expired, Duration::ZERO)
        } else {
            // ARGOS shows no sign before the first step: somebody may have opened it just now.
            (Ending::Lapsed, self.policy.lapsed_grace)
        };
        let doom = Doom {
            cause: DoomCause::LeaseClosed,
            since: now,
            not_before: now.plus(grace),
            attempts: 0,
        };
        Event::Closed { line: closed(sequence, lease, ending, now), doom }
    }

    /// Whether a sweep would find anything.
    pub fn sweep_due(&self, now: Timestamp) -> bool {
        self.due.first().is_some_and(|(at, _)| *at <= now)
            || self
                .orders
                .values()
                .any(|order| matches!(order.state, OrderState::Settled { ripe } if ripe <= now))
            || self
                .ready
                .first()
                .and_then(|sequence| self.tokens.get(sequence))
                .is_some_and(|token| !self.outlives(token, now, Duration::ZERO))
    }
}

fn closed(sequence: Sequence, lease: &Lease, ending: Ending, now: Timestamp) -> ClosedLease {
    let grant = match &lease.holder {
        Holder::Caller { grant, .. } => Some(grant.clone()),
        Holder::Presumed => None,
    };
    ClosedLease {
        sequence,
        revision: Revision::default(),
        issued: lease.issued,
        deadline: lease.deadline,
        started: lease.started.clone(),
        closed: now,
        ending,
        decided: None,
        grant,
        closer: None,
    }
}

/// How long a doubtful order waits before it is repeated: two seconds, doubling to a minute.
fn order_backoff(attempts: u32) -> Duration {
    Duration::from_secs(1 << attempts.min(6)).min(Duration::from_secs(60))
}

/// How long a token waits after a failed deletion: ten seconds, doubling to ten minutes.
pub(super) fn deletion_backoff(attempts: u32) -> Duration {
    Duration::from_secs(10 << attempts.saturating_sub(1).min(6)).min(Duration::from_secs(600))
}
