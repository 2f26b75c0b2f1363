//! ARGOS as the histories know it: a set of ids, a cap, and copies of calls that arrive when they like.

use std::{collections::BTreeSet, time::Duration};

use argospool::domain::{
    ids::{OrderId, Sequence, TokenId},
    time::Timestamp,
};

/// Ids that ARGOS holds for everybody.
pub const CAP: usize = 26;

#[derive(Default)]
pub struct Argos {
    pub ours: BTreeSet<TokenId>,
    pub foreign: usize,
}

impl Argos {
    /// Registers what fits. False: it was too much, and only a part was stored.
    pub fn register(&mut self, tokens: &[TokenId]) -> bool {
        for token in tokens {
            if !self.ours.contains(token) && self.ours.len() + self.foreign >= CAP {
                return false;
            }
            self.ours.insert(token.clone());
        }
        true
    }

    pub fn delete(&mut self, tokens: &[TokenId]) {
        tokens.iter().for_each(|token| {
            self.ours.remove(token);
        });
    }

    /// Everybody's ids behind one of them, in an order that nothing changes.
    pub fn list(&self, after: &str, most: usize) -> Vec<TokenId> {
        let foreign = (0..self.foreign).map(|number| TokenId::parse(&format!("x-{number:06}")));
        let all = self.ours.iter().cloned().chain(foreign.map(Result::unwrap));
        let mut rest: Vec<_> = all.filter(|id| id.expose() > after).collect();
        rest.sort_unstable();
        rest.truncate(most);
        rest
    }

    pub fn is_foreign(id: &TokenId) -> bool {
        id.expose().starts_with("x-")
    }

    pub fn count(&self) -> u32 {
        u32::try_from(self.ours.len() + self.foreign).unwrap()
    }
}

/// A call that has left.
#[derive(Clone, Debug)]
pub enum Call {
    Register {
        order: OrderId,
        tokens: Vec<TokenId>,
    },
    Delete {
        sequences: Vec<Sequence>,
        tokens: Vec<TokenId>,
    },
    Count,
    Find {
        sequence: Sequence,
        token: TokenId,
    },
    /// A page begins behind this id.
    List {
        after: String,
    },
}

/// A registration that may still arrive although nobody waits for it.
pub struct Copy {
    pub tokens: Vec<TokenId>,
    pub until: Timestamp,
}

impl Copy {
    pub fn of(call: &Call, now: Timestamp, span: Duration) -> Option<Self> {
        match call {
            // The last moment belongs to the pool.
            Call::Register { tokens, .. } => Some(Self {
                tokens: tokens.clone(),
                until: now.plus(span).minus(Duration::from_millis(1)),
            }),
            Call::Delete { .. } | Call::Count | Call::Find { .. } | Call::List { .. } => None,
        }
    }
}
