//! Where records become durable: the ledgers behind [`crate::port::Ledger`].
//!
//! `record` is the durable form of everything and knows no store, `backup` the file that carries it
//! elsewhere. [`memory`] forgets at exit and
//! fails on request; [`sled`] survives a lost power supply. Both obey the same suite,
//! `tests/it/ledger.rs`.

mod backup;
pub mod memory;
pub mod record;
pub mod sled;
