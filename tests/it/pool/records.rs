//! What a ledger would keep of a pool: the plainest fold there is.

use std::collections::BTreeMap;

use argospool::domain::{
    ids::{OrderId, Revision, Sequence},
    order::Order,
    pause::{Activity, Pause},
    pool::{Pool, Restored, Unfinished},
    recall::Recall,
    time::Timestamp,
    token::{ClosedLease, Token},
};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    pub revision: Revision,
    pub next: Sequence,
    pub granted: Sequence,
    pub tokens: BTreeMap<Sequence, Token>,
    pub orders: BTreeMap<OrderId, Order>,
    pub pauses: BTreeMap<Activity, Pause>,
    pub lines: BTreeMap<Sequence, ClosedLease>,
}

impl Records {
    /// Keeps what changed since the last call.
    pub fn commit(&mut self, pool: &mut Pool) {
        let changes = pool.take_changes();
        if changes.is_empty() {
            return;
        }
        (self.revision, self.next, self.granted) = (pool.revision(), pool.next(), pool.granted());
        for at in changes.tokens {
            let token = pool.token(at).cloned();
            assert!(token.iter().all(|token| token.revision == self.revision), "J2: a token");
            put(&mut self.tokens, at, token);
        }
        for id in changes.orders {
            let order = pool.order(id).cloned();
            assert!(order.iter().all(|order| order.revision == self.revision), "J2: an order");
            put(&mut self.orders, id, order);
        }
        for activity in changes.pauses {
            put(&mut self.pauses, activity, pool.pause(activity).cloned());
        }
        // J2: what changed is told by its revision.
        let revisions = changes.lines.iter().map(|line| line.revision);
        assert!(revisions.into_iter().all(|revision| revision == self.revision), "J2: a line");
        self.lines.extend(changes.lines.into_iter().map(|line| (line.sequence, line)));
    }

    /// Everything that a pool says of itself, written down from scratch.
    pub fn of(pool: &Pool, lines: BTreeMap<Sequence, ClosedLease>) -> Self {
        Self {
            revision: pool.revision(),
            next: pool.next(),
            granted: pool.granted(),
            tokens: pool.tokens_from(Sequence::ZERO).map(|it| (it.sequence, it.clone())).collect(),
            orders: pool.orders().map(|order| (order.id, order.clone())).collect(),
            pauses: pool.pauses().map(|(activity, pause)| (activity, pause.clone())).collect(),
            lines,
        }
    }

    /// The same of a ledger that may be older than what it showed, which is told how far that was.
    pub fn restored_below(&self, shown: Sequence, remember_after: Timestamp) -> Restored {
        let restored = self.restored(remember_after);
        Restored {
            next: restored.next.max(shown),
            granted: restored.granted.max(shown),
            ..restored
        }
    }

    /// Requests of leases that closed before `remember_after` are not remembered.
    pub fn restored(&self, remember_after: Timestamp) -> Restored {
        let recent = self.lines.values().filter(|line| line.closed >= remember_after);
        let mut past = Recall::default();
        recent.clone().for_each(|line| past.remember(line));
        Restored {
            revision: self.revision,
            next: self.next,
            granted: self.granted,
            tokens: self.tokens.values().cloned().collect(),
            orders: self.orders.values().cloned().collect(),
            pauses: self.pauses.clone().into_iter().collect(),
            past,
            unfinished: recent.filter_map(Unfinished::of).collect(),
        }
    }
}

fn put<K: Ord, V>(records: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => {
            records.insert(key, value);
        }
        None => {
            records.remove(&key);
        }
    }
}
