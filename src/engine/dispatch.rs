//! Makes the calls that the state asks for.
//!
//! What is under way is remembered here and not in the pool, so that it outlives a reload: at most one
//! attempt per order is ever in flight, and registration and deletion of one id never overlap.

use std::time::Duration;

use tracing::{Instrument as _, Level, Span, level_filters::LevelFilter};

use super::{Engine, mailbox::Note};
use crate::{
    domain::{ids::OrderId, order::OrderState, pool::Effect, time::Timestamp},
    port::{Hold, Pending, Purpose},
};

/// How long calls of a purpose rest after one that never left, and after one that taught nothing.
pub(super) const NOT_SENT: Duration = Duration::from_secs(1);
pub(super) const NOT_LEARNED: Duration = Duration::from_secs(30);

/// Callers that the trace of one refill names at most.
const LINKS_MAX: usize = 16;

/// Until when calls of each purpose are held back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Holds {
    refill: Timestamp,
    purge: Timestamp,
    reconcile: Timestamp,
    outcomes: Timestamp,
}

impl Holds {
    /// How long until the first of them ends.
    pub(super) fn next(&self, now: Timestamp) -> Option<Duration> {
        let ends = [self.refill, self.purge, self.reconcile, self.outcomes];
        ends.into_iter().filter(|at| *at > now).map(|at| at.since(now)).min()
    }

    pub(super) fn of(&mut self, purpose: Purpose) -> &mut Timestamp {
        match purpose {
            Purpose::Refill => &mut self.refill,
            Purpose::Purge => &mut self.purge,
            Purpose::Reconcile => &mut self.reconcile,
            Purpose::Outcomes => &mut self.outcomes,
        }
    }
}

impl Engine {
    pub(super) fn dispatch(&mut self, now: Timestamp) {
        if self.stopping {
            return self.dispatch_clearances(now);
        }
        let batch = self.supplier.health().batch_limit;
        let only = self.trials.as_ref();
        for effect in self.pool.outstanding_of(only, now, &self.under_way, batch) {
            let purpose = match effect {
                Effect::Register { .. } => Purpose::Refill,
                Effect::Delete { .. } | Effect::DeleteForeign { .. } => Purpose::Purge,
                Effect::Count | Effect::Find { .. } | Effect::List { .. } => Purpose::Reconcile,
                Effect::Survey { .. } | Effect::Ask { .. } => Purpose::Outcomes,
            };
            if *self.holds.of(purpose) > now {
                continue;
            }
            match self.supplier.admit(purpose) {
                Ok(()) => {
                    let alone = effect == Effect::Count && self.under_way.quiet();
                    let span = self.span_of(purpose, &effect);
                    self.send(effect, span);
                    if alone {
                        return;
                    }
                }
                Err(Hold { retry_after }) => *self.holds.of(purpose) = now.plus(retry_after),
            }
        }
    }

    /// A call is a trace of its own, because it is made for the stock and for nobody in particular; callers
    /// who wait for what it brings are linked to it.
    pub(super) fn span_of(&self, purpose: Purpose, effect: &Effect) -> Span {
        if Level::DEBUG > LevelFilter::current() {
            return Span::none();
        }
        let (tokens, attempt) = match effect {
            Effect::Register { order } => {
                (Some(self.pool.ids_of_order(*order).len()), Some(self.attempt(*order)))
            }
            Effect::Delete { sequences } => (Some(sequences.len()), None),
            Effect::DeleteForeign { tokens } => (Some(tokens.len()), None),
            Effect::Count
            | Effect::Find { .. }
            | Effect::List { .. }
            | Effect::Survey { .. }
            | Effect::Ask { .. } => (None, None),
        };
        let span = tracing::debug_span!(
            parent: None,
            "work",
            project = self.project.as_str(),
            purpose = purpose.as_str(),
            tokens,
            attempt,
        );
        if purpose == Purpose::Refill {
            for request in self.waiting.requests().take(LINKS_MAX) {
                span.follows_from(request);
            }
        }
        span
    }

    /// The how many-th time it is that an order leaves, those that certainly did nothing left out.
    fn attempt(&self, order: OrderId) -> u32 {
        match self.pool.order(order).map(|order| &order.state) {
            Some(OrderState::Open { doubt: Some(doubt), .. }) => doubt.attempts + 1,
            Some(OrderState::Open { doubt: None, .. } | OrderState::Settled { .. }) | None => 1,
        }
    }

    pub(super) fn send(&mut self, effect: Effect, span: Span) {
        let (supplier, report) = (self.supplier.clone(), self.report.clone());
        let work: Pending<'static, ()> = match effect {
            Effect::Register { order } => {
                let tokens = self.pool.ids_of_order(order);
                self.under_way.orders.insert(order);
                self.under_way.overlaps_count();
                Box::pin(async move {
                    let outcome = supplier.register(tokens).await;
                    let _ = report.send(Note::Registered { order, outcome }).await;
                })
            }
            Effect::Delete { sequences } => {
                let tokens = self.pool.ids(&sequences);
                self.under_way.deletions.extend(&sequences);
                self.under_way.deletion_calls += 1;
                self.under_way.overlaps_count();
                Box::pin(async move {
                    let outcome = supplier.delete(tokens).await;
                    let _ = report.send(Note::Deleted { sequences, outcome }).await;
                })
            }
            Effect::Count => {
                self.under_way.begin_count();
                Box::pin(async move {
                    let outcome = supplier.count().await;
                    let _ = report.send(Note::Counted { outcome }).await;
                })
            }
            Effect::DeleteForeign { tokens } => {
                self.under_way.deleting_foreign = true;
                self.under_way.overlaps_count();
                Box::pin(async move {
                    let outcome = supplier.delete(tokens.clone()).await;
                    let _ = report.send(Note::ForeignDeleted { tokens, outcome }).await;
                })
            }
            Effect::List { cursor } => {
                self.under_way.listing = true;
                Box::pin(async move {
                    let outcome = supplier.list(cursor).await;
                    let _ = report.send(Note::Listed { outcome }).await;
                })
            }
            Effect::Survey { days, cursor } => {
                self.under_way.surveying = true;
                Box::pin(async move {
                    let outcome = supplier.submissions(days, cursor).await;
                    let _ = report.send(Note::Surveyed { outcome }).await;
                })
            }
            Effect::Ask { submission } => {
                self.under_way.asking.insert(submission.clone(), self.pool.revision());
                Box::pin(async move {
                    let outcome = supplier.submission(submission.clone()).await;
                    let _ = report.send(Note::Asked { submission, outcome }).await;
                })
            }
            Effect::Find { sequence } => {
                let Some(token) = self.pool.token(sequence).map(|token| token.id.clone()) else {
                    return;
                };
                self.under_way.finding = true;
                Box::pin(async move {
                    let outcome = supplier.find(token).await;
                    let _ = report.send(Note::Found { sequence, outcome }).await;
                })
            }
        };
        tokio::spawn(work.instrument(span));
    }

    /// The state still calls for the same call, which is not made again at once.
    pub(super) fn put_off(&mut self, purpose: Purpose, span: Duration, now: Timestamp) {
        *self.holds.of(purpose) = now.plus(span);
    }
}
