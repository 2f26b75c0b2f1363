//! The decisions of argospool without its shell, as one small package that is built and judged in
//! seconds: `tests/mutants/lay` puts it together from the files of the repository.
//!
//! The tests of `tests/it` that need no more than this are modules here, so that a changed line costs
//! one crate and one binary.
#![cfg_attr(test, allow(clippy::unwrap_used, unreachable_pub, reason = "as in tests/it/main.rs"))]

pub mod app;
pub mod domain;
pub mod engine;
pub mod port;
pub mod store;
pub mod task;

#[cfg(test)]
extern crate self as argospool;

#[cfg(test)]
mod ledger;
#[cfg(test)]
mod links;
#[cfg(test)]
mod parameters;
#[cfg(test)]
mod pool;
/// `tests/it/engine`, under a name that is free.
#[cfg(test)]
mod turns;
#[cfg(test)]
mod world;
