//! ARGOS, seen from here: what we say to it, what its answers mean, how often it may be called.
//!
//! - [`wire`] knows the words of the calls, and reads answers tolerantly: every field of an answer may
//!   be missing (contract 1 and 7).
//! - [`transfer`] knows the envelopes of Secure Data Transfer, around what we say and what we hear.
//! - [`statement`] reads what is said about a submission; the receiver of webhooks reads with it too.
//! - [`judge`] gives every way a call can end one of three meanings. It is a pure table.
//! - [`pace`] decides whether a call may leave: budget, shares, back-off, circuit. It is pure too.
//! - [`transport`] sends a call once: a copy of a registration that arrives late could re-arm a token
//!   that was used (B1, B3).
//! - [`client`] puts them together as a [`crate::port::Supplier`]. It repeats nothing either: who calls
//!   again, and when, is decided from the state of the pool.
//!
//! No call is logged. An answer may repeat token ids, and the address of a look-up carries one, so the
//! texts of the HTTP library go nowhere (P1); what leaves is an [`crate::port::Outcome`]. The one thing
//! that is said here, and once, is that ARGOS seals where our settings do not, or the other way round.

pub mod client;
pub mod judge;
pub mod pace;
pub mod statement;
pub mod transfer;
pub mod transport;
pub mod wire;

pub use client::{Argos, ArgosOptions, KeySource, Observer, Surroundings, TimeTold};
pub use transfer::{RequestShape, Transfer};
pub use transport::UnusableOptions;
pub use wire::{Operation, settings::ManagementSettings};
