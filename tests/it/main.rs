//! Everything that needs more than one module.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod ledger;
