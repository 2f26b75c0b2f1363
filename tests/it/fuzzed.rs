//! What must hold for any bytes whatever that come from outside, and the bytes that tried it.
//!
//! Each module is a target of the fuzzer: its `holds` panics when some input breaks what it says.
//! `tests/fuzz/run` searches for such inputs; the tests below run the very same functions over what the
//! search kept (`tests/fuzz/corpus`) and over inputs that once broke something (`tests/fuzz/regressions`).

pub mod config;
pub mod envelope;
pub mod liveform;
pub mod record;
pub mod response;
pub mod webhook;

mod draw;
mod pool;
#[cfg(test)]
mod replay;
mod said;
mod sealed;
