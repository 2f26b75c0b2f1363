//! From records to a running engine: at start, and after a commit that failed.

use std::{sync::Arc, time::Duration};

use super::{
    Engine, Handle, Herald, Parts, Rejection, Vitals, commit, mailbox::Note, orders,
    waiting::Waiting,
};
use crate::{
    domain::{
        demand::Demand,
        ids::Sequence,
        pool::{Command, Event, Policy, Pool, Restored, UnderWay},
        seal::{LedgerIdentity, Seal},
        time::Timestamp,
    },
    port::{Condition, LedgerError, Opened, Opening},
};

/// How long between two tries to open a ledger that failed, or to write to one that keeps failing.
pub(super) const REOPEN_AFTER: Duration = Duration::from_secs(1);

pub(super) async fn open(parts: Parts) -> Result<(Engine, Handle), LedgerError> {
    let Parts {
        project,
        pid,
        policy,
        settings,
        mut ledger,
        supplier,
        clock,
        mut entropy,
        observer,
    } = parts;
    let identity = LedgerIdentity::draw(&mut *entropy);
    let remember_after = clock.now().minus(policy.request_id_memory);
    let opening = Opening { pid, identity, remember_after };
    let opened = ledger.open(opening.clone()).await?;
    let (suspect, epoch) = (opened.suspect_below, opened.epoch);
    clock.continue_from(opened.committed_at);
    // Before the time, so that a step between them is seen.
    let steps = clock.steps();
    let now = clock.now();
    let mut pool = restore(opened, policy.clone(), now);
    let breaches = pool.audit();
    for breach in &breaches {
        tracing::error!(%project, promise = breach.promise.as_str(), evidence = breach.evidence, "a promise is broken");
    }
    fold(&mut pool, &Command::Breached { breaches }, now);
    let usage = ledger.reader().usage();
    let trials = settings.trials_only.then(|| orders::left_over(&pool));

    let (calls_in, calls, notes_in, notes) = Engine::lanes();
    let vitals = Arc::new(Vitals::default());
    let herald = Herald::new(pool.revision());
    let handle = Handle {
        project: project.clone(),
        seal: Arc::new(pool.seal().clone()),
        policy: Arc::new(policy.clone()),
        reader: ledger.reader(),
        calls: calls_in,
        notes: notes_in.clone(),
        vitals: vitals.clone(),
        audience: herald.audience(),
        clock: clock.clone(),
        told: Arc::default(),
    };
    let mut engine = Engine {
        project,
        opening,
        epoch,
        policy,
        settings,
        pool,
        ledger,
        supplier,
        clock,
        steps,
        recorded: now,
        entropy,
        observer,
        vitals,
        herald,
        calls,
        notes,
        report: notes_in,
        waiting: Waiting::default(),
        under_way: UnderWay::default(),
        trials,
        holds: super::Holds::default(),
        orders_due: false,
        demand: Demand::default(),
        chores: super::Chores::new(now),
        hearing: super::Hearing::default(),
        usage,
        key_changes: 0,
        condition: Condition::Up,
        failing: false,
        stopping: false,
        clearing: None,
    };
    engine.take_out_of_use(suspect).await?;
    handle.tell(&engine.status());
    Ok((engine, handle))
}

impl Engine {
    /// Pool time. A step of it is not time that passed, and a late copy of a call may still be on its
    /// way: the pool is read again, so that every order's clock starts anew (B3).
    pub(super) async fn time(&mut self) -> Result<Timestamp, LedgerError> {
        loop {
            let now = self.clock.now();
            // After the time, so that a step between them is seen.
            let steps = self.clock.steps();
            if std::mem::replace(&mut self.steps, steps) == steps {
                return Ok(now);
            }
            tracing::info!(project = %self.project, "pool time stepped; the ledger is read again");
            self.reopen().await?;
        }
    }

    /// Opens the ledger again, for as long as it takes. Callers are turned away meanwhile; what came
    /// from ARGOS waits in its lane.
    pub(super) async fn reopen(&mut self) -> Result<(), LedgerError> {
        loop {
            let now = self.clock.now();
            self.opening.remember_after = now.minus(self.policy.request_id_memory);
            match self.ledger.open(self.opening.clone()).await {
                Ok(opened) => {
                    let suspect = opened.suspect_below;
                    self.epoch = opened.epoch;
                    let before = std::mem::replace(
                        &mut self.pool,
                        restore(opened, self.policy.clone(), now),
                    );
                    self.pool.keep_knowledge_of(&before);
                    self.usage = self.ledger.reader().usage();
                    let breaches = self.pool.audit();
                    fold(&mut self.pool, &Command::Breached { breaches }, now);
                    match self.take_out_of_use(suspect).await {
                        Ok(()) => {
                            tracing::info!(project = %self.project, "ledger is open again");
                            return Ok(());
                        }
                        Err(error) => self.tell(&error)?,
                    }
                }
                Err(error) => self.tell(&error)?,
            }
            self.turn_callers_away(REOPEN_AFTER).await;
        }
    }

    /// What cannot get better by itself ends the engine.
    fn tell(&self, error: &LedgerError) -> Result<(), LedgerError> {
        tracing::error!(project = %self.project, error = error.chain(), "ledger could not be opened again");
        match error {
            LedgerError::Fenced => Err(LedgerError::Fenced),
            LedgerError::Unusable(sentence) => Err(LedgerError::Unusable(sentence.clone())),
            LedgerError::Refused(_) | LedgerError::Unconfirmed(_) | LedgerError::Unreadable(_) => {
                Ok(())
            }
        }
    }

    pub(super) async fn turn_callers_away(&mut self, span: Duration) {
        let pause = tokio::time::sleep(span);
        let mut pause = std::pin::pin!(pause);
        loop {
            tokio::select! {
                biased;
                () = &mut pause => return,
                // Questions about the pool have no answer now; what ARGOS said is kept by asking it
                // again: the state still calls for it.
                Some(note) = self.notes.recv() => self.note_while_closed(note),
                Some(call) = self.calls.recv() => {
                    let _ = call.answer.send(Err(Rejection::unavailable()));
                }
            }
        }
    }

    fn note_while_closed(&mut self, note: Note) {
        match note {
            Note::Registered { order, .. } => {
                self.under_way.orders.remove(&order);
            }
            Note::Deleted { sequences, .. } => {
                self.under_way.deletion_calls -= 1;
                for sequence in &sequences {
                    self.under_way.deletions.remove(sequence);
                }
            }
            Note::Counted { .. } => {
                self.under_way.end_count();
            }
            Note::Found { .. } => self.under_way.finding = false,
            Note::Listed { .. } => self.under_way.listing = false,
            Note::ForeignDeleted { .. } => self.under_way.deleting_foreign = false,
            Note::Surveyed { .. } => self.under_way.surveying = false,
            Note::Asked { submission, .. } => {
                self.under_way.asking.remove(&submission);
            }
            Note::Report { answer, .. }
            | Note::Order { answer, .. }
            | Note::BeginTrial { answer }
            | Note::EndTrial { answer, .. } => {
                let _ = answer.send(Err(Rejection::unavailable()));
            }
            // Dropped: whoever asks learns that there is no answer.
            Note::Inspect(_) | Note::Bell(_) => (),
        }
    }

    /// Tokens that a younger state of this ledger may have shown become presumed leases, and that is
    /// durable before anything is handed out (L1).
    async fn take_out_of_use(&mut self, suspect: Option<Sequence>) -> Result<(), LedgerError> {
        let Some(below) = suspect else { return Ok(()) };
        let now = self.clock.now();
        let mut presumed = 0;
        let mut events = Vec::new();
        loop {
            let some = fold(&mut self.pool, &Command::Suspect { below }, now);
            if some.is_empty() {
                break;
            }
            presumed += some.iter().filter(|it| matches!(it, Event::Leased { .. })).count();
            events.extend(some);
        }
        // One group: the ledger forgets its suspicion with the first commit after it told.
        let changes = self.pool.take_changes();
        self.ledger.commit(commit::group(&self.pool, changes, now)).await?;
        self.observer.committed(&events);
        tracing::warn!(
            project = %self.project, tokens = presumed,
            "the ledger may be older than what it handed out; what may have been shown was taken out of use"
        );
        Ok(())
    }
}

/// The pool as a ledger gives it back, before anything is done about it.
pub(crate) fn restore(opened: Opened, policy: Policy, now: Timestamp) -> Pool {
    let seal = Seal::new(&opened.identity);
    // An older past of itself gives no sequence out again: leases are named after them.
    let shown = opened.suspect_below.unwrap_or_default();
    let restored = Restored {
        revision: opened.revision,
        next: opened.next.max(shown),
        granted: opened.granted.max(shown),
        tokens: opened.tokens,
        orders: opened.orders,
        pauses: opened.pauses,
        past: opened.past,
        unfinished: opened.unfinished,
    };
    Pool::open(policy, seal, restored, now)
}

fn fold(pool: &mut Pool, command: &Command, now: Timestamp) -> Vec<Event> {
    let events = pool.decide(command, now).map(|verdict| verdict.events).unwrap_or_default();
    for event in &events {
        pool.apply(event);
    }
    events
}
