//! How orders are written down, and what an attempt to register one comes to.

use std::time::Duration;

use crate::domain::{
    ids::{OrderId, Revision},
    limits::{ORDER_AGE_MAX, ORDER_ATTEMPTS_MAX},
    order::{Attempt, Doubt, Order, OrderState},
    pool::{Event, Pool},
    seal::Salt,
    time::Timestamp,
    token::{Doom, DoomCause, Stage, Token},
};

/// Repeats of an order whose answers contradict it, before it is given up.
const UNCLEAR_MAX: u32 = 3;

impl Pool {
    pub(super) fn mint(&self, salts: &[Salt], now: Timestamp) -> Event {
        let id = OrderId(self.next);
        let prefix = self.policy.prefix_at(now);
        let tokens: Vec<Token> = (0..)
            .zip(salts)
            .map(|(step, salt)| {
                let sequence = self.next.plus(step);
                Token {
                    sequence,
                    id: self.seal.token_id(&prefix, sequence, *salt),
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

    pub(in crate::domain::pool) fn attempted(
        &self,
        id: OrderId,
        attempt: Attempt,
        now: Timestamp,
    ) -> Vec<Event> {
        // An answer that comes twice, or for an order that was given up, says nothing new.
        let Some(Order { state: OrderState::Open { doubt, .. }, .. }) = self.orders.get(&id) else {
            return Vec::new();
        };
        let unanswered = doubt.and_then(|doubt| doubt.unanswered);
        let late = |unanswered: Option<Timestamp>| {
            unanswered.map_or(now, |at| at.plus(self.policy.late_copy_delay))
        };
        // An answer does not prove that there was one copy, whatever it says: from here on there is none.
        let no_copy = now.plus(self.policy.settle_delay);
        let give_up = |unanswered| Event::OrderGivenUp {
            order: id,
            doom: Doom::new(DoomCause::Cancelled, now, no_copy.max(late(unanswered))),
        };
        match attempt {
            Attempt::Settled => {
                let ripe = no_copy.max(late(unanswered));
                let settled = Event::OrderSettled { order: id, ripe };
                let last_doubt = doubt.is_some() && self.open_orders().1 == 1;
                // What was taken for foreign may have been what nobody was certain of (R1).
                let again =
                    (last_doubt && self.foreign > 0).then_some(Event::CountWanted { at: now });
                [settled].into_iter().chain(again).collect()
            }
            Attempt::Refused => {
                let not_before = now.plus(Duration::from_secs(2));
                vec![Event::OrderRefused { order: id, not_before }]
            }
            // Smaller orders take its place. Nobody ever heard of its ids, unless there was doubt.
            Attempt::TooMany if doubt.is_none() => vec![Event::OrderDropped { order: id }],
            Attempt::TooMany => vec![give_up(unanswered)],
            // It may have stored a part. There is no room for the rest, so all of it goes.
            Attempt::CapReached => vec![
                Event::CapReached { until: now.plus(self.policy.cap_pause) },
                Event::CountWanted { at: now },
                give_up(unanswered),
            ],
            Attempt::Unclear | Attempt::Unanswered => {
                let known = doubt.unwrap_or(Doubt { since: now, unanswered: None, attempts: 0 });
                let lost = attempt == Attempt::Unanswered;
                let unanswered = if lost { Some(now) } else { unanswered };
                let attempts = known.attempts + 1;
                let most = if lost { ORDER_ATTEMPTS_MAX } else { UNCLEAR_MAX + 1 };
                if attempts >= most || now.since(known.since) >= ORDER_AGE_MAX {
                    return vec![give_up(unanswered)];
                }
                let doubt = Doubt { since: known.since, unanswered, attempts };
                let not_before = now.plus(order_backoff(attempts));
                vec![Event::OrderDoubted { order: id, doubt, not_before }]
            }
        }
    }
}

/// How long a doubtful order waits before it is repeated: two seconds, doubling to a minute.
fn order_backoff(attempts: u32) -> Duration {
    Duration::from_secs(1 << attempts.min(6)).min(Duration::from_secs(60))
}
