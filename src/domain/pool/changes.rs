//! What has changed since the last commit, by key, so that a record changed twice is written once.

use std::collections::BTreeSet;

use crate::domain::{
    ids::{OrderId, Sequence},
    pause::Activity,
    token::ClosedLease,
};

/// Keys of records that changed, and lines of history to be written. A key whose record is gone from
/// the pool is a removal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub tokens: BTreeSet<Sequence>,
    pub orders: BTreeSet<OrderId>,
    pub pauses: BTreeSet<Activity>,
    pub lines: Vec<ClosedLease>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
            && self.orders.is_empty()
            && self.pauses.is_empty()
            && self.lines.is_empty()
    }
}
