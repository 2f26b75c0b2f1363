//! Group commit.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::Instant;

use super::{Engine, Rejection, TIME_RECORDED_EVERY, recover::REOPEN_AFTER, turn::Turn};
use crate::{
    domain::{
        limits::{COMMIT_TIMEOUT, FREE_SPACE_FLOOR},
        pool::{Changes, Pool},
        time::Timestamp,
    },
    port::{Group, LedgerError},
};

/// A stop writes the time down unless it was written this short a time ago.
const LAST_WORD_AFTER: Duration = Duration::from_secs(1);

impl Engine {
    /// Makes what the turn changed durable. False: it is not, everybody has been told, and the pool
    /// was read again.
    pub(super) async fn commit(
        &mut self,
        turn: &mut Turn,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        if let Some(error) = turn.broken.take() {
            return self.reload(&error, turn).await.map(|()| false);
        }
        let changes = self.pool.take_changes();
        let every = if self.stopping { LAST_WORD_AFTER } else { TIME_RECORDED_EVERY };
        let is_due = now.since(self.recorded) >= every;
        if is_due || !changes.is_empty() {
            // Also where it does not come to it: a ledger that fails is left alone for as long.
            self.recorded = now;
        }
        if !changes.is_empty() || (is_due && self.usage.free_bytes >= FREE_SPACE_FLOOR) {
            let group = group(&self.pool, changes, now);
            let (revision, news) = (group.revision, self.herald.prepare(&group));
            let began = Instant::now();
            if let Err(error) = self.write(group, turn, now).await {
                return self.reload(&error, turn).await.map(|()| false);
            }
            self.failing = false;
            self.herald.tell(revision, news);
            self.observer.group(turn.held.len(), began.elapsed());
        }
        self.observer.committed(&turn.events);
        self.hearing.committed(&turn.heard, &turn.events, now);
        Ok(true)
    }

    /// Waits for the ledger. When it takes too long the group is told that it is in doubt and new
    /// callers are turned away, while the commit goes on.
    async fn write(
        &mut self,
        group: Group,
        turn: &mut Turn,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        self.vitals.committing_since.store(now.as_millis(), Ordering::Relaxed);
        let mut commit = self.ledger.commit(group);
        let mut patience = std::pin::pin!(tokio::time::sleep(COMMIT_TIMEOUT));
        let mut impatient = false;
        let result = loop {
            tokio::select! {
                biased;
                result = &mut commit => break result,
                () = &mut patience, if !impatient => {
                    impatient = true;
                    tracing::error!(project = %self.project, "commit is not answered");
                    turn.reject(&Rejection::in_doubt());
                }
                Some(call) = self.calls.recv(), if impatient => {
                    let _ = call.answer.send(Err(Rejection::unavailable()));
                }
            }
        };
        drop(commit);
        self.vitals.committing_since.store(0, Ordering::Relaxed);
        result
    }

    /// Throws the pool away and reads it again. Nothing is ever unwound.
    async fn reload(&mut self, error: &LedgerError, turn: &mut Turn) -> Result<(), LedgerError> {
        tracing::error!(project = %self.project, error = error.chain(), "commit failed; the ledger is read again");
        self.observer.commit_failed();
        match error {
            LedgerError::Refused(_) => turn.reject(&Rejection::unavailable()),
            LedgerError::Unconfirmed(_)
            | LedgerError::Fenced
            | LedgerError::Unusable(_)
            | LedgerError::Unreadable(_) => turn.reject(&Rejection::in_doubt()),
        }
        if matches!(error, LedgerError::Fenced) {
            return Err(LedgerError::Fenced);
        }
        self.reopen().await?;
        // What could not be written is due still, and would be tried again without end.
        if std::mem::replace(&mut self.failing, true) {
            self.turn_callers_away(REOPEN_AFTER).await;
        }
        self.herald.reopened(self.pool.revision());
        Ok(())
    }
}

/// Everything that changed, as records.
pub(super) fn group(pool: &Pool, changes: Changes, at: Timestamp) -> Group {
    let mut group = Group {
        revision: pool.revision(),
        at,
        next: pool.next(),
        granted: pool.granted(),
        lines: changes.lines,
        ..Group::default()
    };
    for sequence in changes.tokens {
        match pool.token(sequence) {
            Some(token) => group.tokens.push(token.clone()),
            None => group.tokens_gone.push(sequence),
        }
    }
    for id in changes.orders {
        match pool.order(id) {
            Some(order) => group.orders.push(order.clone()),
            None => group.orders_gone.push(id),
        }
    }
    for activity in changes.pauses {
        match pool.pause(activity) {
            Some(pause) => group.pauses.push((activity, pause.clone())),
            None => group.pauses_gone.push(activity),
        }
    }
    group
}
