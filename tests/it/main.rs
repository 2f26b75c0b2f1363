//! The one integration binary: the daemon from outside, and its parts where they meet.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod engine;
mod pool;
mod world;
