//! A stop whose ledger will not be there for the next process.
//!
//! Whatever ARGOS holds for this ledger afterwards is nobody's and takes room under the cap for good. So a
//! pool whose ledger is ephemeral is cleared before the end: orders of which no call is out are given up,
//! Ready tokens are doomed, and everything that may be deleted by then is. The rules of deletion stand:
//! what a caller holds stays, what was closed a moment ago keeps its grace, because somebody may be on the
//! page, and what may still arrive over there is not deleted before no late copy of it can (B3).

use std::collections::BTreeSet;

use super::{Effect, Event, KeyCheck, Pool, UnderWay};
use crate::domain::{
    ids::OrderId,
    limits::{SWEEP_MAX, TOKENS_PER_CALL_MAX},
    order::{Attempt, OrderState},
    pause::Activity,
    time::Timestamp,
    token::{Doom, DoomCause},
};

impl Pool {
    /// Whether tokens may be deleted at all. Where not, nothing is cleared, so that a process which
    /// starts over the same ledger after all finds its stock.
    pub fn may_clear(&self) -> bool {
        self.key_check != KeyCheck::Failed && !self.paused(Activity::Purge)
    }

    /// Whether there are tokens that [`Command::Clear`](super::Command::Clear) dooms.
    pub fn uncleared(&self) -> bool {
        self.may_clear() && !(self.ready.is_empty() && self.held_back.is_empty())
    }

    /// The calls that delete what may be deleted at this moment. One that is not full waits for what the
    /// next step dooms, and for nothing else (R2).
    pub fn clearances(&self, now: Timestamp, under_way: &UnderWay, batch: u32) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.may_clear() {
            let batch = batch.min(TOKENS_PER_CALL_MAX);
            self.deletions(|_| true, now, under_way, (batch, self.uncleared()), &mut effects);
        }
        effects
    }

    /// Whether something can still be deleted by `end` that no call which is out deletes.
    pub fn clears_by(&self, end: Timestamp) -> bool {
        let due = self.doomed.first().is_some_and(|(at, _)| *at <= end);
        let ripe = self.orders.values().any(|order| match order.state {
            OrderState::Settled { ripe } => ripe <= end,
            OrderState::Open { .. } => false,
        });
        self.may_clear() && (due || ripe || self.uncleared())
    }

    /// At most [`SWEEP_MAX`] tokens; the rest is for the next time.
    pub(super) fn clear(&self, sent: &BTreeSet<OrderId>, now: Timestamp) -> Vec<Event> {
        if !self.may_clear() {
            return Vec::new();
        }
        // As if ARGOS took no call of that size.
        let unsent = self.orders.keys().filter(|order| !sent.contains(order));
        let given_up = unsent.flat_map(|order| self.attempted(*order, Attempt::TooMany, now));
        let doom = Doom::new(DoomCause::Discarded, now, now);
        let ready = self.ready.union(&self.held_back).take(SWEEP_MAX);
        let discarded = ready.map(|sequence| Event::Discarded { sequence: *sequence, doom });
        given_up.chain(discarded).collect()
    }
}
