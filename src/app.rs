//! Composition.

pub mod clock;
