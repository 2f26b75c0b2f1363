//! Where records become durable: the ledgers behind [`crate::port::Ledger`].
//!
//! `record` is the durable form of everything and knows no store. [`memory`] forgets at exit and
//! fails on request; [`sled`] survives a lost power supply. Both obey the same suite,
//! `tests/it/ledger.rs`.

pub mod memory;
mod record;
pub mod sled;

use crate::{domain::token::ClosedLease, port::PastRequest};

/// The requests that a closed lease is remembered by: the one that created it, and the one that
/// closed it.
fn past_requests(line: &ClosedLease) -> impl Iterator<Item = PastRequest> {
    let created = line.grant.as_ref().and_then(|grant| grant.request);
    created.into_iter().chain(line.closer).map(|request| PastRequest {
        key: request.key,
        digest: request.digest,
        sequence: line.sequence,
        closed: line.closed,
    })
}
