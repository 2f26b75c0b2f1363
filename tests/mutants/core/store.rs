//! The ledger that forgets at exit, and the durable form of records.

pub mod memory;
#[allow(unused_imports, reason = "the ledger on the disk uses more of it")]
mod record;
