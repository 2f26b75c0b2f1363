//! The one integration binary: the daemon from outside, and its parts where they meet.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test that cannot go on says where")]

mod documents;
mod engine;
mod fuzzed;
mod ledger;
mod links;
mod parameters;
mod pool;
mod process;
mod simulated_argos;
mod simulation;
mod world;
mod wrong_clock;
