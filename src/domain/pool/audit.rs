//! Checks what can be checked from the records alone. O(n log n): after every step of a simulation,
//! at start, and in the running daemon between two commits, where nothing is in progress.

use std::collections::{BTreeMap, BTreeSet};

use super::Pool;
use crate::domain::{
    ids::Sequence,
    invariant::{Breach, Promise},
    token::Stage,
};

impl Pool {
    pub fn audit(&self) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let mut found = |promise, evidence: String| breaches.push(Breach { promise, evidence });
        let mut ready = BTreeSet::new();
        let mut due = BTreeSet::new();
        let mut doomed = BTreeSet::new();
        let mut urgent = BTreeSet::new();
        let (mut leased, mut minted) = (0, 0);
        let mut holders: BTreeMap<_, Sequence> = BTreeMap::new();
        for (sequence, token) in &self.tokens {
            let number = sequence.get();
            if token.sequence != *sequence || *sequence >= self.next {
                found(Promise::J2, format!("sequence {number} is filed under another number"));
            }
            if self.seal.open_token(&token.id) != Some(*sequence) {
                found(Promise::U1, format!("the id of sequence {number} does not open to it"));
            }
            match &token.stage {
                Stage::Minted { order } => {
                    minted += 1;
                    if !self.orders.get(order).is_some_and(|order| order.range().contains(sequence))
                    {
                        found(Promise::B2, format!("sequence {number} is minted and in no order"));
                    }
                }
                Stage::Ready { .. } => {
                    ready.insert(*sequence);
                }
                Stage::Leased(lease) => {
                    leased += 1;
                    due.insert((lease.ends(), *sequence));
                    if *sequence >= self.granted {
                        found(Promise::L1, format!("sequence {number} is leased beyond the mark"));
                    }
                    if let Some(request) = lease.request() {
                        if self.requested(request.key) != Some(*sequence) {
                            found(Promise::L3, format!("the request of sequence {number} is lost"));
                        }
                        if let Some(other) = holders.insert(request.key, *sequence) {
                            let other = other.get();
                            found(Promise::L3, format!("one request has {number} and {other}"));
                        }
                    }
                }
                Stage::Doomed(doom) => {
                    let at = self.deletable(doom);
                    doomed.insert((at, *sequence));
                    if doom.urgent {
                        urgent.insert((at, *sequence));
                    }
                }
            }
        }
        let shelf: BTreeSet<_> = self.ready.union(&self.held_back).copied().collect();
        if !self.ready.is_disjoint(&self.held_back) {
            found(Promise::J2, "a token is handed out and held back at once".to_owned());
        }
        if (&ready, &due, &doomed, &urgent) != (&shelf, &self.due, &self.doomed, &self.urgent)
            || (leased, minted) != (self.leased, self.minted)
            || holders != self.requests
        {
            found(Promise::J2, "an index disagrees with the stages it was derived from".to_owned());
        }
        for order in self.orders.values() {
            if order.range().end > self.next {
                found(Promise::B2, format!("{} names sequences that were not minted", order.id));
            }
        }
        // C1 as the records show it: what we hold alone may not pass the compiled cap.
        let held = self.census().held();
        if held > crate::domain::limits::POOL_CAP {
            found(Promise::C1, format!("{held} tokens are held"));
        }
        breaches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{pool::stand::with_a_doomed_token, seal::RequestKey, time::Timestamp};

    #[test]
    fn an_index_that_disagrees_with_the_stages_is_found() {
        const ENTRY: (Timestamp, Sequence) = (Timestamp::ZERO, Sequence::ZERO);
        let spoils: [fn(&mut Pool); 7] = [
            |pool| _ = pool.ready.insert(Sequence::ZERO),
            |pool| _ = pool.due.insert(ENTRY),
            |pool| pool.doomed.clear(),
            |pool| _ = pool.urgent.insert(ENTRY),
            |pool| pool.leased += 1,
            |pool| pool.minted += 1,
            |pool| _ = pool.requests.insert(RequestKey(1), Sequence::ZERO),
        ];
        assert_eq!(with_a_doomed_token().audit(), []);
        for (number, spoil) in spoils.into_iter().enumerate() {
            let mut pool = with_a_doomed_token();
            spoil(&mut pool);
            let found: Vec<_> = pool.audit().into_iter().map(|breach| breach.promise).collect();
            assert_eq!(found, [Promise::J2], "{number}");
        }
    }

    #[test]
    fn a_token_that_is_handed_out_and_held_back_at_once_is_found() {
        let mut pool = with_a_doomed_token();
        pool.ready.insert(Sequence::ZERO);
        pool.held_back.insert(Sequence::ZERO);
        let evidence = pool.audit().into_iter().map(|breach| breach.evidence);
        assert_eq!(evidence.filter(|it| it.contains("held back")).count(), 1);
    }
}
