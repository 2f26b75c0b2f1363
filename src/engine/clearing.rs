//! A stop that clears the pool, because its ledger will not be there for the next process.
//!
//! What is cleared, and why the rest is not, stands in the pool; here is how long it may take. Callers are
//! turned away first. Then every turn dooms what is Ready and makes the calls that are due, until nothing
//! is left that could be deleted in time, and one line says what became of all tokens.

use std::time::Duration;

use tokio::time::Instant;

use super::{Engine, turn::Turn};
use crate::{
    domain::{
        pool::{Command, Event},
        time::Timestamp,
    },
    port::{Hold, Purpose},
};

/// Before the process is cut off there is a part of what is left for the last line and the ledger.
const LAST_PART: u32 = 10;
const LAST_PART_MAX: Duration = Duration::from_secs(1);

/// A clearing under way.
pub(super) struct Clearing {
    /// No call leaves from here on, and none is waited for.
    ends: Instant,
    /// Tokens that ARGOS deleted since it began.
    deleted: usize,
}

impl Clearing {
    pub(super) fn begin(cut_off: Instant) -> Self {
        let now = Instant::now();
        let left = cut_off.saturating_duration_since(now);
        Self { ends: now + (left - (left / LAST_PART).min(LAST_PART_MAX)), deleted: 0 }
    }

    pub(super) fn left(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }
}

impl Engine {
    /// Takes out of use what nobody holds. Asked for in every turn, because calls that were out become
    /// tokens, and what was read again after a failed commit knows nothing of it.
    pub(super) fn clear(&mut self, now: Timestamp, turn: &mut Turn) {
        let sent = self.under_way.orders.clone();
        let _ = self.decide(&Command::Clear { sent }, now, turn);
    }

    /// Makes the calls that are due. Other purposes make none any more, so what was kept for orders may
    /// be spent as well (R2).
    pub(super) fn dispatch_clearances(&mut self, now: Timestamp) {
        let Some(clearing) = &self.clearing else { return };
        if clearing.left().is_zero() {
            return;
        }
        let batch = self.supplier.health().batch_limit;
        for effect in self.pool.clearances(now, &self.under_way, batch) {
            if *self.holds.of(Purpose::Purge) > now {
                return;
            }
            let admitted = self.supplier.admit(Purpose::Purge);
            match admitted.or_else(|hold| self.supplier.admit(Purpose::Refill).map_err(|_| hold)) {
                Ok(()) => {
                    let span = self.span_of(Purpose::Purge, &effect);
                    self.send(effect, span);
                }
                Err(Hold { retry_after }) => self.put_off(Purpose::Purge, retry_after, now),
            }
        }
    }

    /// Counts what is gone for certain, once that is durable.
    pub(super) fn count_cleared(&mut self, events: &[Event]) {
        let Some(clearing) = &mut self.clearing else { return };
        for event in events {
            if let Event::Deleted { sequences } = event {
                clearing.deleted += sequences.len();
            }
        }
    }

    /// Whether a stop has nothing more to do.
    pub(super) fn has_finished(&mut self, now: Timestamp) -> bool {
        let quiet = self.under_way.calls() == 0;
        let Some(clearing) = &self.clearing else { return quiet && self.notes.is_empty() };
        let left = clearing.left();
        let end = now.plus(left);
        let more = self.pool.clears_by(end) && *self.holds.of(Purpose::Purge) <= end;
        self.notes.is_empty() && (left.is_zero() || quiet && !more)
    }

    /// The last word on a pool whose ledger nobody will read: numbers alone, no id (P1).
    pub(super) fn tell_cleared(&self) {
        let Some(Clearing { deleted, .. }) = self.clearing else { return };
        let census = self.pool.census();
        let left = census.held() - census.leased;
        let (project, leased, calls) = (&self.project, census.leased, self.under_way.calls());
        if left == 0 {
            tracing::info!(%project, deleted, left, leased, "the pool is cleared");
        } else {
            tracing::warn!(%project, deleted, left, leased, calls, "the pool is cleared but for what is left at ARGOS");
        }
    }
}
