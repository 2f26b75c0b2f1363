//! One token that is registered, looked at and deleted, to see that all three can be done.
//!
//! It is ordered as any other, so that its id is written down before ARGOS hears of it (B2) and room is
//! kept for it (C1). Until it is taken out again it is stock: whoever waits for a token may be given it.

use super::Verdict;
use crate::domain::{
    ids::{OrderId, Sequence},
    order::OrderState,
    pause::Activity,
    pool::{Event, Pool, Refusal, Reply},
    refill::{Hindrance, Rest},
    seal::Salt,
    time::Timestamp,
    token::{Doom, DoomCause},
};

impl Pool {
    /// Orders one token, if it could be registered at this moment and deleted again.
    pub(super) fn trial(
        &self,
        salt: Salt,
        hindrance: Option<Hindrance>,
        now: Timestamp,
    ) -> Result<Verdict, Refusal> {
        let purge = self.paused(Activity::Purge).then_some(Hindrance::Paused);
        let view = self.view(now, hindrance.or(purge), 1);
        if let Some(hindrance) = view.hindrance {
            return Err(Refusal::NoOrder(Rest::Hindered(hindrance)));
        }
        if view.room() == 0 {
            return Err(Refusal::NoOrder(Rest::AtCap));
        }
        // It takes the place of none that an operator asked for beyond the target.
        let beyond = (self.extra > 0).then_some(Event::ExtraOrdered { tokens: 1 });
        let events = beyond.into_iter().chain([self.mint(&[salt], now)]).collect();
        Ok(Verdict { events, reply: Reply::Minted(self.next) })
    }

    pub(super) fn ripen(&self, id: OrderId, now: Timestamp) -> Vec<Event> {
        let state = self.orders.get(&id).map(|order| &order.state);
        let ripe = matches!(state, Some(OrderState::Settled { ripe }) if *ripe <= now);
        if ripe { vec![Event::OrderReady { order: id, at: now }] } else { Vec::new() }
    }

    /// Takes a Ready token out of use. What became of it otherwise stands.
    pub(super) fn discard(&self, sequence: Sequence, now: Timestamp) -> Vec<Event> {
        if !self.is_ready(sequence) {
            return Vec::new();
        }
        let doom = Doom { urgent: true, ..Doom::new(DoomCause::Discarded, now, now) };
        vec![Event::Discarded { sequence, doom }]
    }
}
