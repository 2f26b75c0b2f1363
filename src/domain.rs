//! The pure core: tokens, leases, orders, refill, URLs.
//!
//! **Law (A1).** Nothing below this module reads a clock, draws randomness, opens a file or a socket,
//! starts a task, logs, or counts a metric. Whatever it needs arrives as an argument; whatever it
//! wants done leaves as a value. The lints below and `tests/tidy.rs` hold it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

pub mod birth;
pub mod demand;
pub mod entropy;
pub mod envelope;
pub mod fault;
pub mod ids;
pub mod invariant;
pub mod limits;
pub mod liveform;
pub mod order;
pub mod paging;
pub mod pause;
pub mod pool;
pub mod recall;
pub mod refill;
pub mod seal;
pub mod secret;
pub mod submission;
pub mod time;
pub mod token;
