//! One turn of the engine: decide what has queued up, commit it as one group, answer, make calls.

use tokio::time::Instant;

use super::{
    Bell, Engine, Rejection,
    dispatch::{Holds, NOT_LEARNED, NOT_SENT},
    mailbox::{Answer, Call, Inspection, Note},
    steps::Steps,
};
use crate::{
    domain::{
        fault::Reason,
        ids::Sequence,
        limits::FREE_SPACE_FLOOR,
        order::Attempt,
        pause::Activity,
        pool::{Command, Event, Heard, ListingWanted, Refusal, Reply},
        refill::{Hindrance, Rest},
        time::Timestamp,
        token::{ClosedLease, Stage},
    },
    port::{
        Condition, DoubtfulCause, LedgerError, Listing, Outcome, Purpose, RefusedCause,
        SupplierHealth,
    },
};

/// An answer that is held until what it rests on is durable.
pub(super) struct Held {
    answer: Answer,
    result: Result<Reply, Rejection>,
    /// They end with the answer.
    _steps: Steps,
}

/// What one turn collects before it commits.
#[derive(Default)]
pub(super) struct Turn {
    pub held: Vec<Held>,
    pub events: Vec<Event>,
    /// What webhooks came to.
    pub heard: Vec<Heard>,
    inspections: Vec<Inspection>,
    /// The ledger failed at something else than the commit.
    pub broken: Option<LedgerError>,
}

impl Turn {
    fn hold(&mut self, answer: Answer, result: Result<Reply, Rejection>) {
        self.held.push(Held { answer, result, _steps: Steps::default() });
    }

    /// The same for a caller, whose way somebody may look at.
    fn hold_caller(&mut self, answer: Answer, mut steps: Steps, result: Result<Reply, Rejection>) {
        steps.commits();
        self.held.push(Held { answer, result, _steps: steps });
    }

    /// Answers everybody with the same rejection.
    pub(super) fn reject(&mut self, rejection: &Rejection) {
        for Held { answer, .. } in self.held.drain(..) {
            let _ = answer.send(Err(rejection.clone()));
        }
    }

    fn release(&mut self) {
        for Held { answer, result, _steps } in self.held.drain(..) {
            // A caller who has gone meanwhile learns by asking again under the same request id.
            let _ = answer.send(result);
        }
    }
}

impl Engine {
    /// False: nothing of it is durable, and the pool was read again.
    pub(super) async fn turn(
        &mut self,
        notes: &mut Vec<Note>,
        calls: &mut Vec<Call>,
    ) -> Result<bool, LedgerError> {
        let now = self.time().await?;
        let mut turn = Turn::default();
        for note in notes.drain(..) {
            self.take_note(note, now, &mut turn).await;
        }
        for bell in self.chores.overdue(now) {
            self.ring(bell, now, &mut turn).await;
        }
        let SupplierHealth { key_changes, condition, .. } = self.supplier.health();
        if std::mem::replace(&mut self.key_changes, key_changes) != key_changes {
            // What the old key was refused is worth asking with the new one, and at once.
            self.holds = Holds::default();
            let _ = self.decide(&Command::KeyReplaced, now, &mut turn);
        }
        self.tell_condition(condition);
        self.sweep(now, &mut turn);
        self.serve_waiting(now, &mut turn).await;
        for call in calls.drain(..) {
            self.take_call(call, now, &mut turn).await;
        }
        self.orders_due = if self.clearing.is_some() {
            self.clear(now, &mut turn);
            false
        } else {
            self.mint(now, &mut turn)
        };
        let durable = self.commit(&mut turn, now).await?;
        if durable {
            turn.release();
            self.count_cleared(&turn.events);
            for inspect in turn.inspections {
                inspect(self);
            }
            self.dispatch(now);
        }
        Ok(durable)
    }

    /// Says so when ARGOS cannot be used any more, or can be used again.
    fn tell_condition(&mut self, condition: Condition) {
        let before = std::mem::replace(&mut self.condition, condition);
        if before == condition {
            return;
        }
        if !condition.is_usable() {
            tracing::warn!(project = %self.project, ?condition, "ARGOS cannot be used");
        } else if !before.is_usable() {
            tracing::info!(project = %self.project, "ARGOS can be used again");
            // What taught nothing before is worth asking again at once.
            self.holds = Holds::default();
        }
    }

    /// Decides and applies. What it comes to is held by the caller.
    pub(super) fn decide(
        &mut self,
        command: &Command,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<Reply, Refusal> {
        self.decide_with(command, &[], now, turn)
    }

    /// The same for what somebody asks with a request id: with what history says of it, as of this very
    /// moment (L3). The outer error says that history could not be read.
    async fn decide_asked(
        &mut self,
        command: &Command,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<Result<Reply, Refusal>, Rejection> {
        let lines = self.lines_in_question(command).await?;
        Ok(self.decide_with(command, &lines, now, turn))
    }

    fn decide_with(
        &mut self,
        command: &Command,
        lines: &[ClosedLease],
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<Reply, Refusal> {
        let verdict = self.pool.decide_with(command, lines, now)?;
        for event in &verdict.events {
            self.pool.apply(event);
        }
        turn.events.extend(verdict.events);
        Ok(verdict.reply)
    }

    async fn take_note(&mut self, note: Note, now: Timestamp, turn: &mut Turn) {
        let command = match note {
            Note::Registered { order, outcome } => {
                self.under_way.orders.remove(&order);
                Command::Attempted { order, attempt: attempt(&outcome) }
            }
            Note::Deleted { sequences, outcome } => {
                self.under_way.deletion_calls -= 1;
                for sequence in &sequences {
                    self.under_way.deletions.remove(sequence);
                }
                match outcome {
                    // It never left: that was no try.
                    Outcome::Refused(refused) if refused.cause != RefusedCause::Request => {
                        self.put_off(Purpose::Purge, NOT_SENT, now);
                        return;
                    }
                    Outcome::Settled(()) => {
                        let lines = self.lines_of_urgent(&sequences).await;
                        Command::Deleted { sequences, done: true, lines }
                    }
                    Outcome::Refused(_) | Outcome::Doubtful(_)
                        if !self.supplier.health().condition.is_usable() =>
                    {
                        Command::DeletionLost { sequences }
                    }
                    Outcome::Refused(_) | Outcome::Doubtful(_) => {
                        Command::Deleted { sequences, done: false, lines: Vec::new() }
                    }
                }
            }
            Note::Counted { outcome } => {
                let overlapped = self.under_way.end_count();
                let tokens = settled(outcome);
                if tokens.is_none() {
                    self.put_off(Purpose::Reconcile, NOT_LEARNED, now);
                }
                Command::Counted { tokens, overlapped }
            }
            Note::Found { sequence, outcome } => {
                self.under_way.finding = false;
                let found = settled(outcome);
                if found.is_none() {
                    self.put_off(Purpose::Reconcile, NOT_LEARNED, now);
                }
                Command::KeyChecked { sequence, found }
            }
            Note::Listed { outcome } => {
                self.under_way.listing = false;
                let Some(Listing { tokens, unreadable, next }) = settled(outcome) else {
                    self.put_off(Purpose::Reconcile, NOT_LEARNED, now);
                    return;
                };
                Command::Listed { tokens, unreadable, next }
            }
            Note::ForeignDeleted { tokens, outcome } => {
                self.under_way.deleting_foreign = false;
                let done = settled(outcome).is_some();
                Command::ForeignDeleted { tokens, done }
            }
            Note::Surveyed { outcome } => return self.take_survey(outcome, now, turn).await,
            Note::Asked { submission, outcome } => {
                return self.take_answer(submission, outcome, now, turn).await;
            }
            Note::Report { report, answer } => {
                let result = self.take_report(report, now, turn).await;
                if let Ok(Reply::Fact(heard)) = &result {
                    turn.heard.push(*heard);
                }
                turn.hold(answer, result);
                return;
            }
            Note::Order { command, answer } => {
                let decided = self.decide_asked(&command, now, turn).await;
                turn.hold(answer, decided.and_then(|result| result.map_err(rejection)));
                return;
            }
            Note::BeginTrial { answer } => {
                let result = self.begin_trial(now, turn);
                turn.hold(answer, result.map_err(rejection));
                return;
            }
            Note::EndTrial { sequence, answer } => {
                let result = self.end_trial(sequence, now, turn);
                turn.hold(answer, result.map_err(rejection));
                return;
            }
            Note::Inspect(inspect) => {
                turn.inspections.push(inspect);
                return;
            }
            Note::Bell(bell) => return self.ring(bell, now, turn).await,
        };
        let result = self.decide(&command, now, turn);
        debug_assert!(result.is_ok(), "what came to be known is never refused");
    }

    /// The lines of those whose end somebody waits for.
    async fn lines_of_urgent(&mut self, sequences: &[Sequence]) -> Vec<ClosedLease> {
        let urgent = |sequence: &Sequence| {
            let stage = self.pool.token(*sequence).map(|token| &token.stage);
            matches!(stage, Some(Stage::Doomed(doom)) if doom.urgent)
        };
        let urgent = sequences.iter().copied().filter(urgent).collect();
        match self.lines_of(urgent).await {
            Ok(lines) => lines.into_values().collect(),
            // The token is gone all the same; only the time of it stays unknown.
            Err(error) => {
                self.unreadable(&error);
                Vec::new()
            }
        }
    }

    async fn ring(&mut self, bell: Bell, now: Timestamp, turn: &mut Turn) {
        self.chores.done(bell, now);
        match bell {
            Bell::Floor => self.usage = self.ledger.reader().usage(),
            Bell::Count => {
                let _ = self.decide(&Command::WantCount, now, turn);
            }
            Bell::Listing => {
                let wanted = ListingWanted::default();
                let _ = self.decide(&Command::WantListing { wanted }, now, turn);
            }
            Bell::Retention => {
                let _ = self.decide(&Command::Forget, now, turn);
                let before = now.minus(self.settings.retention);
                let lines_max = self.settings.history_max_lines;
                if let Err(error) = self.ledger.retain(before, lines_max).await {
                    turn.broken = Some(error);
                }
            }
            Bell::Audit => {
                let breaches = self.pool.audit();
                if !breaches.is_empty() {
                    let _ = self.decide(&Command::Breached { breaches }, now, turn);
                }
            }
        }
    }

    async fn take_call(&mut self, call: Call, now: Timestamp, turn: &mut Turn) {
        // Whoever has gone already is not given a token that nobody would see.
        if call.answer.is_closed() {
            return;
        }
        if let Command::Lease { wanted } = &call.command {
            self.demand.observe(wanted.len() as u64, now);
        }
        if let Some(rejection) = self.closed() {
            turn.hold_caller(call.answer, call.steps, Err(rejection));
            return;
        }
        let result = match self.decide_asked(&call.command, now, turn).await {
            Err(unreadable) => Err(unreadable),
            Ok(Err(Refusal::Empty)) => match self.may_wait(&call, now) {
                Ok(until) => {
                    self.waiting.join(call, Instant::now(), until);
                    return;
                }
                Err(rejection) => Err(rejection),
            },
            Ok(result) => result.map_err(rejection),
        };
        turn.hold_caller(call.answer, call.steps, result);
    }

    /// Why no caller is served at all at this moment.
    fn closed(&self) -> Option<Rejection> {
        if self.stopping {
            return Some(Rejection::draining());
        }
        (self.usage.free_bytes < FREE_SPACE_FLOOR).then(|| {
            let message = "the disk of the ledger is full; free some space, no restart is needed";
            Rejection::new(Reason::LedgerUnavailable, message)
                .retry_after(std::time::Duration::from_secs(5))
        })
    }

    fn may_wait(&self, call: &Call, now: Timestamp) -> Result<Instant, Rejection> {
        if let Some(rejection) = self.hopeless(now) {
            return Err(rejection);
        }
        let Some(until) = call.until else { return Err(self.empty(now)) };
        if self.waiting.len() >= self.settings.waiting_max {
            let message = "the pool is empty and as many callers as allowed are waiting";
            return Err(
                Rejection::new(Reason::WaitingFull, message).retry_after(self.refill_in(now))
            );
        }
        Ok(until)
    }

    /// Serves those who wait, in order; a batch that lacks tokens holds up nobody behind it.
    async fn serve_waiting(&mut self, now: Timestamp, turn: &mut Turn) {
        if self.waiting.is_empty() {
            return;
        }
        let mut line = self.waiting.take();
        let closed = self.closed().or_else(|| self.hopeless(now));
        let at = Instant::now();
        let mut left = std::collections::VecDeque::with_capacity(line.len());
        for waiter in line.drain(..) {
            if waiter.answer.is_closed() {
                continue;
            }
            let result = match self.decide_asked(&waiter.command, now, turn).await {
                Err(unreadable) => Err(unreadable),
                Ok(Err(Refusal::Empty)) => {
                    if let Some(rejection) = &closed {
                        Err(rejection.clone())
                    } else if waiter.until <= at {
                        Err(self.empty(now))
                    } else {
                        left.push_back(waiter);
                        continue;
                    }
                }
                Ok(result) => result.map_err(rejection),
            };
            self.observer.waited(1, at.saturating_duration_since(waiter.since));
            turn.hold_caller(waiter.answer, waiter.steps, result);
        }
        self.waiting.put_back(left);
    }

    /// Why waiting would be in vain: nothing is on its way and nothing can come. An order that is
    /// written down and cannot leave is not on its way.
    fn hopeless(&self, now: Timestamp) -> Option<Rejection> {
        if self.pool.settling() || !self.under_way.orders.is_empty() {
            return None;
        }
        let health = self.supplier.health();
        let again =
            health.next_attempt.map_or(std::time::Duration::from_secs(5), |at| at.since(now));
        let (reason, message) = match health.condition {
            Condition::Down => (Reason::ArgosDown, "the pool is empty and ARGOS does not answer"),
            Condition::KeyRefused => {
                (Reason::ArgosKeyRefused, "the pool is empty and ARGOS refuses the API key")
            }
            // In the end it is a key or the word of an operator, as above.
            Condition::TransferRefused => {
                (Reason::ArgosKeyRefused, "the pool is empty and ARGOS cannot open what we send")
            }
            Condition::AddressRefused => {
                (Reason::ArgosAddressRefused, "the pool is empty and ARGOS refuses this address")
            }
            Condition::Up | Condition::Failing | Condition::Throttled => {
                let rest = self.pool.plan(now, self.hindrance(), health.batch_limit).rest;
                let full =
                    matches!(rest, Some(Rest::AtCap | Rest::Hindered(Hindrance::CapReached)));
                if full && self.pool.census().minted == 0 {
                    let message = "the pool is empty and ARGOS has no room for more tokens";
                    return Some(Rejection::new(Reason::CapReached, message));
                }
                return None;
            }
        };
        let rejection = Rejection::new(reason, message);
        // Only an outage ends by itself.
        Some(if reason == Reason::ArgosDown { rejection.retry_after(again) } else { rejection })
    }

    fn empty(&self, now: Timestamp) -> Rejection {
        Rejection::new(Reason::PoolEmpty, "no token is ready").retry_after(self.refill_in(now))
    }

    /// A guess at when the next tokens are ready.
    fn refill_in(&self, now: Timestamp) -> std::time::Duration {
        let second = std::time::Duration::from_secs(1);
        self.pool.next_deadline(now).map_or(second, |at| at.since(now)).max(second)
    }

    /// Whether leasing would be refused whatever the stock.
    pub(super) fn handing_out_stopped(&self) -> Option<Reason> {
        if self.pool.halted() {
            Some(Reason::Halted)
        } else if self.pool.paused(Activity::Leasing) {
            Some(Reason::Paused)
        } else {
            self.closed().map(|rejection| rejection.reason)
        }
    }
}

fn rejection(refusal: Refusal) -> Rejection {
    let rejection = Rejection::new(refusal.reason(), refusal.to_string());
    match refusal {
        Refusal::Paused | Refusal::Halted => {
            rejection.retry_after(std::time::Duration::from_secs(30))
        }
        Refusal::Empty
        | Refusal::RequestIdReused
        | Refusal::LeaseStarted
        | Refusal::NoDraft
        | Refusal::LinkTooLong
        | Refusal::NotOpen
        | Refusal::NoOrder(_) => rejection,
    }
}

fn settled<T>(outcome: Outcome<T>) -> Option<T> {
    match outcome {
        Outcome::Settled(value) => Some(value),
        Outcome::Refused(_) | Outcome::Doubtful(_) => None,
    }
}

/// What an answer means for the order.
fn attempt<T>(outcome: &Outcome<T>) -> Attempt {
    match outcome {
        Outcome::Settled(_) => Attempt::Settled,
        Outcome::Refused(refused) => match refused.cause {
            RefusedCause::TooMany => Attempt::TooMany,
            RefusedCause::NotSent
            | RefusedCause::Key
            | RefusedCause::Address
            | RefusedCause::Transfer
            | RefusedCause::Throttled
            | RefusedCause::Request => Attempt::Refused,
        },
        Outcome::Doubtful(doubtful) => match doubtful.cause {
            DoubtfulCause::CapReached => Attempt::CapReached,
            DoubtfulCause::Unanswered => Attempt::Unanswered,
            DoubtfulCause::Failed | DoubtfulCause::Unclear => Attempt::Unclear,
        },
    }
}
