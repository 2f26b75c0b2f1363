//! A pool as a ledger gives it back.

use std::collections::{BTreeMap, BTreeSet};

use super::{Changes, KeyCheck, Policy, Pool, Unfinished, outcomes::Outcomes, reconcile::Listing};
use crate::domain::{
    ids::{Revision, Sequence},
    order::{Doubt, Order, OrderState},
    pause::{Activity, Pause},
    recall::Recall,
    seal::Seal,
    time::Timestamp,
    token::{Stage, Token},
};

/// What was durable.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    pub revision: Revision,
    pub next: Sequence,
    pub granted: Sequence,
    pub tokens: Vec<Token>,
    pub orders: Vec<Order>,
    pub pauses: Vec<(Activity, Pause)>,
    /// Closed leases, by their requests.
    pub past: Recall,
    pub unfinished: Vec<Unfinished>,
}

impl Pool {
    /// The pool that was committed last. Nobody knows what became of calls that were made since, so
    /// every order counts as unanswered at `now` and its clock starts anew, and so does that of what was
    /// given up (B3).
    pub fn open(policy: Policy, seal: Seal, restored: Restored, now: Timestamp) -> Self {
        let mut pool = Self {
            policy,
            seal,
            opened: now,
            revision: restored.revision,
            next: restored.next,
            granted: restored.granted,
            tokens: BTreeMap::new(),
            orders: BTreeMap::new(),
            pauses: restored.pauses.into_iter().collect(),
            past: restored.past,
            ready: BTreeSet::new(),
            held_back: BTreeSet::new(),
            requests: BTreeMap::new(),
            due: BTreeSet::new(),
            doomed: BTreeSet::new(),
            urgent: BTreeSet::new(),
            leased: 0,
            minted: 0,
            count: None,
            foreign: 0,
            count_wanted: Some(now),
            count_tried: false,
            cap_reached: None,
            key_check: KeyCheck::Open { missing: 0 },
            key_witnesses: Vec::new(),
            extra: 0,
            breaches: Vec::new(),
            outcomes: Outcomes::default(),
            listing: Listing::default(),
            last_good_count: None,
            changes: Changes::default(),
        };
        for token in restored.tokens {
            pool.index(token.sequence, &token.stage);
            if let Stage::Leased(lease) = &token.stage {
                pool.outcomes.opened(token.sequence, lease, &pool.policy, now);
                let names = pool.names(&lease.submissions);
                pool.outcomes.told(token.sequence, names);
            }
            pool.tokens.insert(token.sequence, token);
        }
        pool.call_key_witnesses();
        for unfinished in restored.unfinished {
            let names = unfinished.submissions.iter().map(|it| pool.seal.name(it)).collect();
            pool.outcomes.restored(unfinished, names, &pool.policy, now);
        }
        for mut order in restored.orders {
            order.state = reopened(&pool.policy, &order.state, now);
            pool.orders.insert(order.id, order);
        }
        pool
    }
}

fn reopened(policy: &Policy, state: &OrderState, now: Timestamp) -> OrderState {
    match *state {
        // Its record does not say which of the two delays it was under: the longer one is safe.
        OrderState::Settled { .. } => {
            OrderState::Settled { ripe: now.plus(policy.late_copy_delay) }
        }
        OrderState::Open { doubt, .. } => {
            let known = doubt.unwrap_or(Doubt { since: now, unanswered: None, attempts: 0 });
            OrderState::Open {
                not_before: now,
                doubt: Some(Doubt { unanswered: Some(now), ..known }),
            }
        }
    }
}
